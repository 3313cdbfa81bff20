"""Servers that end, forget, hang and come back."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from miniagents import MiniAgents
from miniagents.actors import EventKind
from miniagents.errors import McpError, McpOutcomeUnknownError, McpUnavailableError
from miniagents.ext.llms import ToolResultMessage
from miniagents.ext.mcp import McpServer, reconnecting
from miniagents.supervision import Backoff
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.mcp.program import PAGES
from tests.ext.mcp.servers import ERAS, http_program, noted, programs, stdio_server, until

pytestmark = pytest.mark.real_time


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has ended is started again at once."""
    monkeypatch.setattr(reconnecting.Reconnecting.__init__, "__defaults__", (Backoff(0.001, 0.002), 30.0))


@pytest.mark.parametrize("era", ERAS)
async def test_calls_in_flight_fail_at_once_with_the_reason_when_the_program_dies(era: str, tmp_path: Path) -> None:
    server, notes = stdio_server(era, tmp_path / "notes"), tmp_path / "notes"
    async with MiniAgents() as system:
        await server.started()
        with system.events.subscribe() as events:
            in_flight = asyncio.gather(*(server.call("slow") for _ in range(3)), return_exceptions=True)
            await until(lambda: noted(notes).count("called slow") == 3)
            with pytest.raises(McpOutcomeUnknownError) as died:
                await server.call("die", code=7)
            others = await in_flight
            event = await anext(event async for event in events if event.kind is EventKind.CRASH)

    assert "the MCP server 'tests' ended before it answered (the process ended with exit code 7; its last " in str(
        died.value
    )
    assert "it is the end" in str(died.value)
    assert [str(error) for error in others] == [str(died.value)] * 3
    assert (event.path, event.error_type) == ("/mcp-tests", "McpUnavailableError")


async def test_a_killed_program_is_named_by_its_signal() -> None:
    server = stdio_server()
    async with MiniAgents():
        await server.started()
        program = next(child for child in programs() if "tests.ext.mcp.program" in child.cmdline())
        program.kill()
        await until(lambda: not program.is_running() or program.status() == psutil.STATUS_ZOMBIE)
        with pytest.raises(McpError, match="the process was killed by SIGKILL"):
            while True:
                await server.call("echo", text="a")


async def test_tools_stay_listed_and_answer_that_the_server_is_unavailable_while_it_is_down() -> None:
    server = stdio_server()
    script = Script(
        Reply(calls=(Call("die", {}),)), Reply(calls=(Call("echo", {"text": "hi"}),)), "It is down.", "Still."
    )
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, tools=[server])
        replies = await agent.inquire("Hi")
        await agent.inquire("And now?")

    lost, unavailable = (message for message in replies if isinstance(message, ToolResultMessage))
    assert lost.is_error
    assert "the outcome is unknown" in lost.content
    assert unavailable.is_error
    assert "'tests' is unavailable: the process ended with exit code 3" in unavailable.content
    listed = [[tool.name for tool in request.tools] for request in script.requests]
    assert listed[0] == listed[1] == listed[2] == listed[3]


@pytest.mark.usefixtures("at_once")
async def test_a_call_whose_answer_was_lost_is_sent_once(tmp_path: Path) -> None:
    server, notes = stdio_server(notes=tmp_path / "notes"), tmp_path / "notes"
    async with MiniAgents():
        with pytest.raises(McpOutcomeUnknownError):
            await server.call("once")
        await until(lambda: noted(notes).count("started") == 2)
        await until(lambda: noted(notes).count("listed") == 2 * PAGES)

    assert noted(notes).count("called once") == 1


@pytest.mark.usefixtures("at_once")
async def test_a_read_only_tool_of_a_trusted_server_is_called_again_when_its_answer_was_lost(tmp_path: Path) -> None:
    server, notes = stdio_server(notes=tmp_path / "notes", trusted=True), tmp_path / "notes"
    async with MiniAgents():
        result = await server.call("once")
        with pytest.raises(McpOutcomeUnknownError):
            await server.call("die")

    assert result.content == "the second time"
    assert noted(notes).count("called once") == 2
    assert noted(notes).count("called die") == 1


@pytest.mark.usefixtures("at_once")
async def test_a_program_that_has_ended_is_started_again_and_takes_calls() -> None:
    server = stdio_server()
    async with MiniAgents():
        with pytest.raises(McpOutcomeUnknownError):
            await server.call("die")
        while True:
            try:
                result = await server.call("echo", text="I am back")
                break
            except McpUnavailableError:
                await asyncio.sleep(0.02)

    assert result.content == "I am back"


async def test_a_program_that_ends_at_once_is_started_more_and_more_rarely(log: list[Any]) -> None:
    server = McpServer("brief", command=["true"])
    async with MiniAgents():
        with pytest.raises(McpUnavailableError, match="exit code 0"):
            await server.started()
        await until(lambda: [entry["event"] for entry in log].count("mcp.down") == 3)

    pauses = [entry["pause"] for entry in log if entry["event"] == "mcp.down"]
    assert 0.3 < pauses[0] < 0.7
    assert pauses[0] < pauses[1] < pauses[2] < 2.7


async def test_a_session_that_is_lost_is_opened_again_and_the_call_is_not_repeated(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    async with http_program("old", notes) as (url, process):
        server = McpServer("web", url=url)
        async with MiniAgents():
            await server.call("echo", text="one")
            process.kill()
            await process.wait()
            with pytest.raises(McpUnavailableError, match=r"'web' is unavailable: ConnectError.*nothing was sent"):
                await server.call("echo", text="two")
            async with http_program("old", notes, port=int(url.split(":")[2].split("/")[0])):
                with pytest.raises(McpError) as forgotten:
                    await server.call("echo", text="three")
                result = await server.call("echo", text="four")

    assert type(forgotten.value) is McpError, "the server has answered that it knows no such session"
    assert result.content == "four"
    assert noted(notes).count("called echo") == 2


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_over_http_fails_at_once_when_its_response_breaks_off(era: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    async with http_program(era, notes) as (url, process):
        server = McpServer("web", url=url)
        async with MiniAgents():
            call = asyncio.ensure_future(server.call("slow"))
            await until(lambda: noted(notes).count("called slow") == 1)
            process.kill()
            with pytest.raises(McpOutcomeUnknownError, match="'web' ended before it answered"):
                await call


async def test_the_status_of_http_is_told() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"no entry\x1b[31m"
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with listener, MiniAgents():
        server = McpServer("web", url=f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/mcp")
        with pytest.raises(McpUnavailableError, match=r"cannot be connected: HTTP 403 Forbidden: no entry\[31m$"):
            await server.started()


@pytest.mark.parametrize("era", ERAS)
async def test_tools_that_change_in_a_turn_change_for_the_next_turn_and_keep_their_order(era: str) -> None:
    script = Script(Reply(calls=(Call("change", {}),)), "changed", "again")
    server = stdio_server(era)

    def listed() -> list[str]:
        return [tool.name for tool in server._connected().link.tools or ()]

    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, tools=[server])
        await agent.inquire("Hi")
        await until(lambda: "new" in listed())
        await agent.inquire("Hi")

    before, during, after = ([tool.name for tool in request.tools] for request in script.requests)
    assert before == during
    assert before[:2] == ["tests_read_more", "echo"]
    assert after == [before[0], *before[2:], "new"]


async def test_a_server_that_is_stopped_answers_that_it_is_unavailable() -> None:
    server = stdio_server()
    async with MiniAgents() as system:
        await server.started()
        actor = system.lookup("/mcp-tests")
        assert actor is not None
        await actor.stop()
        with pytest.raises(McpUnavailableError, match=r"it was stopped|its connection was closed"):
            await server.call("echo", text="hi")


async def test_a_server_that_never_answers_is_given_up_after_the_time_to_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("miniagents.ext.mcp.connection.CONNECT_TIMEOUT", 0.3)
    before = programs()
    async with MiniAgents():
        with pytest.raises(McpUnavailableError, match=r"it was not connected within 0\.3 s"):
            await McpServer("silent", command=["sleep", "60"]).started()
    await until(lambda: programs() == before)


async def test_the_process_is_gone_when_the_system_is_cancelled_while_it_connects() -> None:
    async def main() -> None:
        async with MiniAgents():
            await McpServer("silent", command=["sleep", "60"]).started()

    task = asyncio.ensure_future(main())
    await until(lambda: any("sleep" in child.name() for child in programs()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await until(lambda: programs() == [])  # they were killed; the event loop reaps them
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_group_of_a_server_dies_when_this_process_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from miniagents import MiniAgents\n"
        "from miniagents.ext.mcp import McpServer\n"
        "async def main():\n"
        "    async with MiniAgents():\n"
        "        server = McpServer('s', command=[sys.executable, '-m', 'tests.ext.mcp.program', 'stdio', 'new'],\n"
        "                           env={'MCP_TEST_STUBBORN': '1'})\n"
        "        await server.started()\n"
        "        print('ready', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    while b"ready" not in await process.stdout.readline():
        pass
    below = psutil.Process(process.pid).children(recursive=True)
    assert any("tests.ext.mcp.program" in child.cmdline() for child in below)

    os.kill(process.pid, signal.SIGKILL)
    await process.wait()

    await until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in below))
