"""What one call, one line or one process may take from others."""

import asyncio
import gc
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from miniagents import MiniAgents
from miniagents.errors import McpError, McpOutcomeUnknownError, PromiseCancelledError
from miniagents.ext.llms import ToolResultMessage
from miniagents.ext.mcp import McpServer
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.mcp.program import SCHEMAS
from tests.ext.mcp.servers import ERAS, PROGRAM, ROOT, noted, programs, server_of, stdio_server, until

pytestmark = pytest.mark.real_time

EACH = [(transport, era) for transport in ("stdio", "http") for era in ERAS]


class Beat:
    """Measures how long one turn of the event loop took at most."""

    async def __aenter__(self) -> "Beat":
        gc.disable()  # a collection of what all tests have left is no work of the turn
        self.longest = 0.0
        self._task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        gc.enable()

    async def _run(self) -> None:
        before = time.thread_time()  # of this thread alone: the machine may be busy with others
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, before = max(self.longest, now - before), now


@pytest.mark.parametrize(("transport", "era"), EACH)
async def test_a_cancelled_call_returns_at_once_and_ends_on_the_server_and_no_other_call_does(
    transport: str, era: str, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    async with server_of(transport, era, notes) as server, MiniAgents():
        await server.started()
        calls = [asyncio.ensure_future(server.call("slow", key=str(number))) for number in range(3)]
        await until(lambda: noted(notes).count("called slow") == 3)
        calls[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await calls[1]
        await until(lambda: any(line.startswith("cancelled 1") for line in noted(notes)))
        result = await server.call("echo", text="still here")
        done = [call.done() for call in calls]
        cancelled = [line.split()[1] for line in noted(notes) if line.startswith("cancelled")]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    assert result.content == "still here"
    assert done == [False, True, False]
    assert cancelled == ["1"]


async def test_a_cancelled_agent_cancels_its_call_on_the_server(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    async with MiniAgents():
        agent = ScriptedModel.fork(
            script=Script(Reply(calls=(Call("slow", {"key": "a"}),)), "x"), tools=[stdio_server(notes=notes)]
        )
        replies = agent.inquire("Hi")
        await until(lambda: noted(notes).count("called slow") == 1)
        replies.cancel("enough")
        with pytest.raises(PromiseCancelledError):
            await replies
        await until(lambda: any(line.startswith("cancelled a") for line in noted(notes)))


async def test_the_time_of_a_tool_ends_its_call_on_the_server_and_says_which_limit_it_was(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    server = stdio_server(notes=notes)
    async with MiniAgents():
        await server.started()
        script = Script(Reply(calls=(Call("slow", {"key": "a"}),)), "x")
        replies = await ScriptedModel.fork(script=script, tools=[server], tool_timeout=1.0).inquire("Hi")
        await until(lambda: any(line.startswith("cancelled a") for line in noted(notes)))

    result = next(message for message in replies if isinstance(message, ToolResultMessage))
    assert "it took longer than 1.0 s (tool_timeout)" in result.content


@pytest.mark.parametrize("era", ERAS)
async def test_progress_begins_the_idle_time_anew_and_its_end_cancels_the_call(era: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    server = stdio_server(era, notes, idle_timeout=2.0)
    async with MiniAgents():
        await server.started()
        result = await server.call("steps", number=8, pause=0.3)
        with pytest.raises(McpOutcomeUnknownError, match=r"made no progress for 2\.0 s \(idle_timeout\)"):
            await server.call("slow", key="a")
        await until(lambda: any(line.startswith("cancelled a") for line in noted(notes)))

    assert result.content == "all steps done"


async def test_garbage_on_the_output_is_logged_once_and_tears_nothing_down(log: list[Any]) -> None:
    async with MiniAgents():
        server = stdio_server()
        for _ in range(3):
            assert (await server.call("noise")).content == "quiet again"

    assert [entry["line"] for entry in log if entry["event"] == "mcp.no_message"] == ["starting..."]


async def test_bytes_that_are_not_utf_8_do_not_leave_a_call_without_its_answer() -> None:
    program = (
        "import sys, json\n"
        "for line in sys.stdin:\n"
        "    request = json.loads(line)\n"
        "    if 'id' not in request: continue\n"
        "    if request['method'] == 'initialize':\n"
        "        result = {'protocolVersion': '2025-06-18', 'capabilities': {'tools': {}},\n"
        "                  'serverInfo': {'name': 'a', 'version': '1'}}\n"
        "    elif request['method'] == 'tools/list': result = {'tools': []}\n"
        "    elif request['method'] == 'tools/call': result = {'content': [{'type': 'text', 'text': 'caf@'}]}\n"
        "    else: result = None\n"
        "    answer = {'jsonrpc': '2.0', 'id': request['id']}\n"
        "    answer |= {'result': result} if result else {'error': {'code': -32601, 'message': 'no'}}\n"
        "    sys.stdout.buffer.write(json.dumps(answer).encode().replace(b'@', b'\\xe9') + b'\\n')\n"
        "    sys.stdout.flush()\n"
    )
    async with MiniAgents():
        result = await McpServer("latin", command=[PROGRAM[0], "-c", program]).call("any")

    assert result.content == "caf\ufffd"


@pytest.mark.parametrize(("transport", "era"), [*EACH, ("http json", "new"), ("http json", "old")])
async def test_an_answer_that_is_too_long_fails_its_call_alone_and_blocks_nothing(transport: str, era: str) -> None:
    size = 50_000_000
    async with server_of(transport, era) as server, MiniAgents():
        await server.started()
        async with Beat() as beat:
            other = asyncio.ensure_future(server.call("slow"))
            with pytest.raises(McpError, match="8388608") as too_long:
                await server.call("big", size=size)
            done = other.done()
            other.cancel()
        after = await server.call("echo", text="still here")

    assert type(too_long.value) is McpError
    assert not done
    assert after.content == "still here"
    assert beat.longest < 0.05


async def test_an_answer_of_nearly_the_bound_is_taken_in_parts_that_block_little() -> None:
    async with MiniAgents():
        server = stdio_server()
        await server.started()
        async with Beat() as beat:
            result = await server.call("big", size=8_000_000)

    assert len(result.content) == 8_000_000
    assert beat.longest < 0.05


async def test_ten_thousand_tools_are_listed_and_searched_without_blocking_the_loop() -> None:
    async with MiniAgents():
        server = await stdio_server(more=10_000).started()
        async with Beat() as beat:
            tools = await server.tools()
            again = await server.tools()
            find: Any = (await server.list_tools())[1].target
            found = await find(query="more 77")

    assert len(tools) == 10_000 + len(SCHEMAS)
    assert tools[0] is again[0], "they are made once"
    assert '"more_77"' in found.splitlines()[0]
    assert beat.longest < 0.05


async def test_a_stubborn_server_behind_a_wrapper_that_forks_is_gone_with_the_system(tmp_path: Path) -> None:
    wrapper = "trap '' TERM HUP INT; exec 3<&0; \"$@\" <&3 & wait; sleep 60"
    env = {"MCP_TEST_STUBBORN": "1", "MCP_TEST_NOTES": str(tmp_path / "notes")}
    server = McpServer("stubborn", command=["sh", "-c", wrapper, "sh", *PROGRAM, "stdio", "new"], cwd=ROOT, env=env)
    async with MiniAgents():
        await server.started()
        below = programs()
        assert sum("tests.ext.mcp.program" in child.cmdline() for child in below) >= 1

    # The system has killed all of them, and the kernel ends them in a moment.
    await until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in below))
    await until(lambda: programs() == [])  # the server and its watch are reaped
