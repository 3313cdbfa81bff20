"""The tools that a model is shown: all of them, or a search; and results of bounded length."""

import pytest

from miniagents import MiniAgents
from miniagents.ext.llms import ToolResultMessage
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.mcp.program import SCHEMAS
from tests.ext.mcp.servers import stdio_server

pytestmark = pytest.mark.real_time


async def test_a_model_reads_on_in_a_result_that_was_too_long() -> None:
    read_on = Call("tests_read_more", {"handle": "1", "start": 100})
    script = Script(Reply(calls=(Call("echo", {"text": "a" * 300 + "z" * 300}),)), Reply(calls=(read_on,)), "done")
    async with MiniAgents():
        server = stdio_server(max_result_tokens=50)
        replies = await ScriptedModel.fork(script=script, tools=[server]).inquire("Hi")
        whole = await server.call("echo", text="a" * 300)

    first, second = (message for message in replies if isinstance(message, ToolResultMessage))
    note = '[400 characters are left out here. Read on with tests_read_more(handle="1", start=100).]'
    assert first.content == f"{'a' * 100}\n{note}\n{'z' * 100}"
    assert second.content == f'{"a" * 200}\n[Read on with tests_read_more(handle="1", start=300).]'
    assert len(whole.content) == 300, "a program gets the whole"


async def test_too_many_tools_are_found_by_a_search_and_called_by_another_tool() -> None:
    script = Script(
        Reply(calls=(Call("tests_find_tools", {"query": "the weather today"}),)),
        Reply(calls=(Call("tests_call_tool", {"name": "weather_today"}),)),
        Reply(calls=(Call("tests_call_tool", {"name": "echo", "arguments": {"text": "hello"}}),)),
        Reply(calls=(Call("tests_call_tool", {"name": "nothing"}),)),
        Reply(calls=(Call("tests_find_tools", {"query": "zebra"}),)),
        "done",
    )
    async with MiniAgents():
        server = stdio_server(more=2_000, always=["ec*"], max_result_tokens=None)
        replies = await ScriptedModel.fork(script=script, tools=[server]).inquire("Hi")
        every_one = await server.tools()

    assert [tool.name for tool in script.requests[0].tools] == ["tests_find_tools", "tests_call_tool", "echo"]
    found, weather, echo, missing, none = (str(m) for m in replies if isinstance(m, ToolResultMessage))
    assert found.splitlines()[0].startswith('{"name":"weather_today","description":"Does weather.today."')
    assert (weather, echo) == ('{"degrees": 21}', "hello")
    assert missing == "failed: LookupError: there is no tool 'nothing': look for one first"
    assert none == f"No tool fits. There are {2_000 + len(SCHEMAS)}: try other words."
    assert len(every_one) == 2_000 + len(SCHEMAS)


async def test_few_tools_are_shown_and_one_token_too_many_is_a_search() -> None:
    async with MiniAgents():
        all_shown = await stdio_server(search_above=None).list_tools()
        searched = await stdio_server(search_above=0).list_tools()

    assert [tool.spec.name for tool in all_shown][:2] == ["tests_read_more", "echo"]
    assert len(all_shown) == len(SCHEMAS) + 1
    assert [tool.spec.name for tool in searched] == ["tests_read_more", "tests_find_tools", "tests_call_tool"]
