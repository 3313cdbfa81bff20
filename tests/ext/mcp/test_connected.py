"""The tools that a model is shown: all of them, or a search; and results of bounded length."""

import pytest

from miniagents import MiniAgents
from miniagents.ext.llms import ToolCall, ToolResultMessage
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


async def test_who_approves_sees_the_tool_that_is_called_and_not_the_one_that_calls_it() -> None:
    seen: list[str] = []

    def approve(call: ToolCall) -> bool | str:
        seen.append(str(call))
        return call.name != "fail"

    script = Script(
        Reply(
            calls=(
                Call("tests_find_tools", {"query": "echo"}),
                Call("tests_call_tool", {"name": "echo", "arguments": {"text": "hello"}}),
                Call("tests_call_tool", {"name": "fail"}),
                Call("tests_call_tool", {"arguments": {}}),
            )
        ),
        "done",
    )
    async with MiniAgents():
        server = stdio_server(search_above=0, max_result_tokens=None)
        replies = await ScriptedModel.fork(script=script, tools=[server], approve=approve).inquire("Hi")

    results = [str(message) for message in replies if isinstance(message, ToolResultMessage)]
    assert seen == [
        'tests_find_tools({"query":"echo"})',
        'echo({"text":"hello"})',
        "fail({})",
        'tests_call_tool({"arguments":{}})',
    ]
    assert results[1:3] == ["hello", "failed: not approved: the call was refused"]


@pytest.mark.parametrize(
    ("model", "search_above", "searches"),
    [
        ("gpt-4", 0.1, True),  # a window of 8,192 tokens
        ("gpt-4.1", 0.1, False),  # a million
        ("gpt-4", 0.99, False),
        ("a-model-that-nobody-knows", 0.1, False),
        ("a-model-that-nobody-knows", 0.01, True),  # of 128,000
    ],
)
async def test_more_tools_than_a_share_of_the_models_window_are_a_search(
    model: str, search_above: float, searches: bool
) -> None:
    script = Script("done")
    async with MiniAgents():
        server = stdio_server(more=200, search_above=search_above)
        await ScriptedModel.fork(model=model, script=script, tools=[server]).inquire("Hi")

    names = [tool.name for tool in script.requests[0].tools]
    assert ("tests_find_tools" in names) is searches


async def test_few_tools_are_shown_and_one_token_too_many_is_a_search() -> None:
    async with MiniAgents():
        all_shown = await stdio_server(search_above=None).list_tools()
        searched = await stdio_server(search_above=0).list_tools()

    assert [tool.spec.name for tool in all_shown][:2] == ["tests_read_more", "echo"]
    assert len(all_shown) == len(SCHEMAS) + 1
    assert [tool.spec.name for tool in searched] == ["tests_read_more", "tests_find_tools", "tests_call_tool"]
