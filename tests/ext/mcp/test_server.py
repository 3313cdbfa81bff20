"""A server in `tools=` and in programs: over both transports, and in both eras of the protocol."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uvloop

from miniagents import MiniAgents
from miniagents.errors import InvalidOptionError, McpError, McpOutcomeUnknownError, McpUnavailableError
from miniagents.ext.llms import AudioMessage, FileMessage, ImageMessage, ToolResultMessage, UserMessage
from miniagents.ext.mcp import McpServer
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.mcp.program import PAGES, PNG, SCHEMAS
from tests.ext.mcp.servers import ERAS, PROGRAM, ROOT, noted, programs, server_of, stdio_server, until

pytestmark = pytest.mark.real_time

TRANSPORTS = ("stdio", "http", "http json")
EACH = [(transport, era) for transport in TRANSPORTS for era in ERAS]


@pytest.mark.parametrize(("transport", "era"), EACH)
async def test_tools_of_all_pages_are_listed_and_called_and_their_results_are_our_messages(
    transport: str, era: str
) -> None:
    async with server_of(transport, era) as server, MiniAgents():
        tools = await server.tools()
        echoed = await server.call("echo", text="hello")
        failed = await server.call("fail")
        contents = await server.call("contents")
        mirrored = await server.call("weather.today")
        with pytest.raises(McpError, match="the MCP server 'tests' failed: not like this") as refused:
            await server.call("refuse")

    assert [tool.spec.name for tool in tools] == [name.replace(".", "_") for name in SCHEMAS]
    assert tools[0].spec.description == "Does echo."
    assert tools[0].spec.schema == SCHEMAS["echo"]
    assert (echoed.content, echoed.is_error, echoed.parts) == ("hello", False, ())
    assert (failed.content, failed.is_error) == ("no such file", True)
    assert contents.parts == (
        UserMessage("look:"),
        ImageMessage(data=PNG, media_type="image/png"),
        AudioMessage(data=PNG, media_type="audio/wav"),
        FileMessage(data=PNG, media_type="application/pdf", filename="a.pdf"),
        UserMessage("[resource file:///b.txt: b]"),
    )
    assert mirrored.content == '{"degrees": 21}'
    assert refused.value.code == -32602
    assert type(refused.value) is McpError


@pytest.mark.parametrize(("transport", "era"), EACH)
async def test_an_agent_calls_tools_and_nothing_is_left_after_the_end_of_the_system(transport: str, era: str) -> None:
    script = Script(
        Reply(calls=(Call("t_weather_today", {}), Call("t_fail", {}), Call("t_contents", {}))),
        "It is warm.",
    )
    async with server_of(transport, era, prefix="t_") as server:
        before = programs()
        async with MiniAgents():
            replies = await ScriptedModel.fork(script=script, tools=[server]).inquire("How is the weather?")

        assert asyncio.all_tasks() == {asyncio.current_task()}
        await until(lambda: programs() == before)
    results = [message for message in replies if isinstance(message, ToolResultMessage)]
    assert [(result.content.split("\n")[0], result.is_error) for result in results] == [
        ('{"degrees": 21}', False),
        ("no such file", True),
        ("look:", False),
    ]
    assert [type(part) for part in results[2].parts][:2] == [UserMessage, ImageMessage]
    assert str(replies[-1]) == "It is warm."


async def test_ten_agents_share_one_process_and_the_list_is_read_once(tmp_path: Path) -> None:
    server, notes = stdio_server(notes=tmp_path / "notes"), tmp_path / "notes"
    async with MiniAgents():
        agents = [
            ScriptedModel.fork(
                alias=f"agent-{number}",
                script=Script(Reply(calls=(Call("echo", {"text": str(number)}),)), "done"),
                tools=[server],
            )
            for number in range(10)
        ]
        replies = await asyncio.gather(*(agent.inquire("Hi") for agent in agents))

    assert [str(r[1]) for r in replies] == [str(number) for number in range(10)]
    assert noted(notes).count("started") == 1
    assert noted(notes).count("listed") == PAGES


async def test_a_result_that_does_not_fit_its_schema_is_a_result_with_a_warning(log: list[Any]) -> None:
    async with MiniAgents():
        result = await stdio_server().call("unfit")

    assert (result.content, result.is_error) == ('{"degrees":"warm"}', False)
    assert [entry["tool"] for entry in log if entry["event"] == "mcp.unfit_result"] == ["unfit"]


async def test_tools_that_are_not_allowed_or_denied_are_neither_shown_nor_called() -> None:
    server = stdio_server(allow=["e*", "weather.*"], deny=["environment"])
    async with MiniAgents():
        names = [tool.spec.name for tool in await server.tools()]
        with pytest.raises(InvalidOptionError, match="do not let 'environment' through"):
            await server.call("environment")
        with pytest.raises(InvalidOptionError, match="do not let 'fail' through"):
            await server.call("fail")

    assert names == ["echo", "weather_today"]


async def test_the_program_gets_the_environment_that_is_given_and_a_harmless_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    async with MiniAgents():
        result = await stdio_server(env={"TOKEN": "1"}).call("environment")

    assert {"TOKEN", "PATH"} <= set(result.content.split("\n"))
    assert "OPENAI_API_KEY" not in result.content


async def test_a_server_that_cannot_be_started_leaves_the_agent_without_its_tools_and_says_so(log: list[Any]) -> None:
    server = McpServer("nowhere", command=["no-such-program-anywhere"])
    script = Script("I have no tools.")
    async with MiniAgents():
        replies = await ScriptedModel.fork(script=script, tools=[server]).inquire("Hi")
        with pytest.raises(
            McpUnavailableError, match=r"'nowhere' is unavailable: it cannot be connected: .*no-such-pro"
        ):
            await server.started()

    assert str(replies[-1]) == "I have no tools."
    assert script.requests[0].tools == ()
    assert "'nowhere' is unavailable" in next(entry["error"] for entry in log if entry["event"] == "mcp.left_out")


async def test_an_agent_fails_if_a_required_server_cannot_be_reached() -> None:
    server = McpServer("nowhere", url="http://127.0.0.1:9/mcp", required=True)
    async with MiniAgents():
        with pytest.raises(McpUnavailableError, match="ConnectError"):
            await ScriptedModel.fork(script=Script("never"), tools=[server]).inquire("Hi")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "give one of command= and url="),
        ({"command": ["a"], "url": "http://a"}, "give one of command= and url="),
        ({"command": "uvx time"}, "is a list"),
        ({"url": "localhost:80"}, "must begin with http"),
        ({"url": "http://a", "env": {}}, "env= and cwd= are for command="),
        ({"command": ["a"], "headers": {}}, "headers= and auth= are for url="),
        ({"command": ["a"], "allow": "read"}, "allow=. is a list"),
        ({"command": ["a"], "prefix": "a b"}, "prefix=. is up to 32"),
        ({"command": ["a"], "max_bytes": 0}, "max_bytes="),
        ({"command": ["a"], "pin": 5}, "pin=. is True, False or the path"),
        ({"command": ["a"], "always": "read"}, "always=. is a list"),
        ({"command": ["a"], "search_above": -1}, "search_above="),
        ({"command": ["a"], "search_above": 1.0}, "search_above="),
        ({"command": ["a"], "close_after": 0}, "close_after="),
        ({"command": ["a"], "max_result_tokens": 0}, "max_result_tokens="),
        ({"command": ["a"], "idle_timeout": 0}, "idle_timeout="),
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidOptionError, match=problem):
        McpServer("a", **options)


@pytest.mark.parametrize("era", ERAS)
def test_a_program_is_called_dies_and_is_stopped_on_uvloop_as_on_asyncio(era: str) -> None:
    async def main() -> None:
        async with MiniAgents():
            server = stdio_server(era)
            assert (await server.call("echo", text="hello")).content == "hello"
            with pytest.raises(McpOutcomeUnknownError, match="exit code 7"):
                await server.call("die", code=7)
            other = await McpServer("other", command=[*PROGRAM, "stdio", era], cwd=ROOT).started()
            assert (await other.call("echo", text="hello")).content == "hello"
        assert asyncio.all_tasks() == {asyncio.current_task()}

    before = programs()
    uvloop.run(main())

    assert programs() == before


def test_without_the_sdk_the_extra_is_named_and_nothing_else_needs_it() -> None:
    code = (
        "import sys\n"
        "import miniagents.ext.llms\n"
        "assert 'mcp' not in sys.modules\n"
        "sys.modules['mcp'] = None\n"
        "from miniagents.ext.mcp import McpServer\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "MissingDependencyError: miniagents.ext.mcp needs mcp: pip install 'miniagents[mcp]'" in done.stderr
