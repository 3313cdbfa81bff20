"""Sources that list their tools asynchronously, and tools whose schema is given."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import pytest

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms import Tool, ToolCall, ToolResultMessage, ToolSource
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.llms.apis import agent_of, each_api

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Source:
    """A tool source that counts how often it is asked."""

    def __init__(self, *tools: Any, takes: float = 0.0, error: BaseException | None = None) -> None:
        self.tools = tools
        self.takes = takes
        self.error = error
        self.asked = 0
        self.was_cancelled = False

    def __repr__(self) -> str:
        return "the source"

    async def list_tools(self) -> tuple[Any, ...]:
        self.asked += 1
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        if self.error is not None:
            raise self.error
        return self.tools


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


async def weather(**arguments: Any) -> str:
    """Tells the weather."""
    return f"sunny, with {arguments}"


@miniagent
async def helper(ctx: InteractionContext) -> None:
    ctx.reply("helped")


async def results_of(script: Script, *tools: Any, **options: Any) -> list[str]:
    async with MiniAgents():
        replies = await ScriptedModel.fork(script=script, tools=list(tools), **options).inquire("Hi")
    return [str(message) for message in replies if isinstance(message, ToolResultMessage)]


def calling(*calls: Call) -> Script:
    return Script(Reply(calls=calls), "done")


async def test_a_source_is_asked_at_the_start_of_each_call_and_its_tools_stand_in_its_place() -> None:
    source, script = Source(Tool(weather, schema=CITY), helper, takes=1.0), Script("one", "two")
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, tools=[add, source, partial(add, a=1)])
        await agent.inquire("Hi")
        source.tools = (helper,)
        await agent.inquire("Hi again")
    names = [[tool.name for tool in request.tools] for request in script.requests]
    assert names == [["add", "weather", "helper", "partial"], ["add", "helper", "partial"]]
    assert source.asked == 2


async def test_a_source_is_asked_once_in_a_call_however_many_turns_it_has() -> None:
    source = Source(add)
    assert await results_of(calling(Call("add", {"a": 1, "b": 2})), source) == ["3"]
    assert source.asked == 1


async def test_an_error_of_a_source_fails_the_call_and_says_whose_it_is() -> None:
    source, script = Source(error=ConnectionError("the server is down")), Script("never")
    with pytest.raises(ConnectionError) as raised:
        await results_of(script, source)
    assert "/agents/ScriptedModel: the source could not list its tools" in raised.value.__notes__
    assert not script.requests


async def test_a_source_that_would_end_the_program_ends_the_call() -> None:
    with pytest.raises(RuntimeError, match="SystemExit"):
        await results_of(Script("never"), Source(error=SystemExit(1)))


async def test_a_timeout_of_the_source_itself_stays_what_it_is() -> None:
    with pytest.raises(TimeoutError, match="the server was slow"):
        await results_of(Script("never"), Source(error=TimeoutError("the server was slow")))


@pytest.mark.parametrize(("takes", "fails"), [(9.0, False), (11.0, True)])
async def test_all_sources_together_have_the_time_of_a_tool(takes: float, fails: bool) -> None:
    script, sources = Script("one"), (Source(takes=takes / 2), Source(takes=takes / 2))
    if fails:
        with pytest.raises(TimeoutError, match=r"/agents/ScriptedModel: the source listed no tools within 10.0 s"):
            await results_of(script, *sources, tool_timeout=10.0)
        assert sources[1].was_cancelled
    else:
        await results_of(script, *sources, tool_timeout=10.0)
    assert len(script.requests) == (0 if fails else 1)


async def test_cancelling_a_call_cancels_the_listing() -> None:
    source = Source(takes=3600.0)
    async with MiniAgents():
        replies = ScriptedModel.fork(script=Script("never"), tools=[source], tool_timeout=None).inquire("Hi")
        await asyncio.sleep(1.0)
        await replies.aclose()
    assert source.was_cancelled


async def test_a_source_cannot_list_sources() -> None:
    with pytest.raises(InvalidOptionError, match="functions and agents"):
        await results_of(Script("never"), Source(Source()))


def test_whatever_lists_tools_is_a_source() -> None:
    assert isinstance(Source(), ToolSource)
    assert not isinstance(add, ToolSource)


# Given schemas


@pytest.mark.real_time
@each_api
async def test_a_model_is_told_the_given_schema_and_the_function_gets_what_it_wrote(
    api: str, fake_provider: FakeProvider
) -> None:
    fake_provider.reset(Reply(calls=(Call("forecast", {"city": "Paris"}),)), "done")
    tool = Tool(weather, "forecast", description="Tells tomorrow's weather.", schema=CITY)
    async with MiniAgents():
        replies = await agent_of(api, fake_provider, tools=[tool]).inquire("Hi")
    assert str(replies[1]) == "sunny, with {'city': 'Paris'}"
    told = str(fake_provider.exchanges[0].body["tools"])
    assert "Tells tomorrow's weather." in told
    assert "forecast" in told
    assert str(CITY["properties"]) in told


@pytest.mark.parametrize(
    ("schema", "arguments", "result"),
    [
        (CITY, {"city": "Paris"}, "sunny, with {'city': 'Paris'}"),
        (CITY, {}, "failed: the arguments do not fit: Object missing required field `city`"),
        (CITY, {"city": "P", "x": 1}, "failed: the arguments do not fit: Object contains unknown field `x`"),
        (CITY | {"additionalProperties": False}, {"x": 1, "city": "P"}, "unknown field `x`"),
        (CITY | {"additionalProperties": True}, {"x": 1, "city": "P"}, "sunny, with {'x': 1, 'city': 'P'}"),
        (CITY | {"patternProperties": {"^x": {}}}, {"x": 1, "city": "P"}, "sunny, with {'x': 1, 'city': 'P'}"),
        ({}, {}, "sunny, with {}"),
        ({}, {"x": 1}, "unknown field `x`"),
        (CITY, "no JSON", "failed: the arguments do not fit: JSON is malformed"),
        (CITY, "[1]", "failed: the arguments do not fit: Expected `object`, got `array`"),
    ],
)
async def test_names_of_arguments_are_checked_against_a_given_schema(
    schema: Mapping[str, Any], arguments: Any, result: str
) -> None:
    (said,) = await results_of(calling(Call("weather", arguments)), Tool(weather, schema=schema))
    assert result in said


@pytest.mark.parametrize(
    "schema", [{"type": "string"}, {"properties": ["city"]}, ["city"], {"properties": {"a": object()}}, {1j: 2}]
)
def test_what_is_no_schema_of_an_object_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidOptionError, match="the tool weather: schema="):
        Tool(weather, schema=schema)


def test_an_agent_takes_no_schema() -> None:
    with pytest.raises(InvalidOptionError, match="the agent helper takes one message"):
        Tool(helper, schema=CITY)


def test_a_given_schema_is_copied() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = Tool(weather, schema=schema)
    schema["properties"]["town"] = schema["properties"].pop("city")  # type: ignore[attr-defined, index]
    assert list(tool.spec.schema["properties"]) == ["city"]


def test_names_and_descriptions_are_the_own_ones_where_none_are_given() -> None:
    tool, named, agent = Tool(add), Tool(add, "a sum!", description=""), Tool(helper, "h" * 80)
    assert (tool.spec.name, tool.spec.description) == ("add", "Adds two numbers.")
    assert (named.spec.name, named.spec.description) == ("a_sum", "")
    assert agent.spec.name == "h" * 64


async def test_tools_of_one_name_get_names_of_their_own_and_stay_what_they_are() -> None:
    first, second = Tool(add, "sum"), Tool(weather, "sum", schema=CITY)
    script = calling(Call("sum", {"a": 1, "b": 2}), Call("sum_2", {"city": "Rome"}))
    assert await results_of(script, first, second) == ["3", "sunny, with {'city': 'Rome'}"]
    assert second.spec.name == "sum"


# The call itself


def in_thread(call: ToolCall, n: int) -> str:
    return f"{n} by {call.id}"


async def in_loop(n: int, call: Annotated[ToolCall, "the call"], ctx: InteractionContext) -> str:
    return f"{n} by {call.id} for {ctx.this_agent.alias}"


async def given(call: ToolCall | None = None, **arguments: Any) -> str:
    return f"{arguments} by {call and call.id}"


@pytest.mark.parametrize(
    ("tool", "results"),
    [
        (Tool(in_thread, "t"), ["1 by a", "2 by b"]),
        (Tool(in_loop, "t"), ["1 by a for ScriptedModel", "2 by b for ScriptedModel"]),
        (Tool(given, "t", schema={"properties": {"n": {}}}), ["{'n': 1} by a", "{'n': 2} by b"]),
    ],
    ids=["in a thread", "in the loop", "with a given schema"],
)
async def test_a_function_gets_its_call_with_the_id_and_the_model_is_not_told_of_it(
    tool: Tool, results: list[str]
) -> None:
    script = calling(Call("t", {"n": 1}, id="a"), Call("t", {"n": 2}, id="b"))
    assert await results_of(script, tool) == results
    assert list(script.requests[0].tools[0].schema["properties"]) == ["n"]


async def test_a_model_cannot_fill_what_the_runtime_fills() -> None:
    tool = Tool(given, "t", schema={"additionalProperties": True})
    script = calling(Call("t", {"call": {"id": "forged", "name": "t"}}, id="true"))
    assert await results_of(script, tool) == ["{} by true"]


async def test_the_id_of_a_call_reaches_what_runs_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []
    run: Callable[..., Any] = Tool.tokens

    def recorded(tool: Tool, call: ToolCall, ctx: InteractionContext) -> Any:
        seen.append((tool.spec.name, call.id))
        return run(tool, call, ctx)

    monkeypatch.setattr(Tool, "tokens", recorded)
    await results_of(
        calling(Call("add", {"a": 1, "b": 2}, id="1"), Call("helper", {"message": "x"}, id="2")), add, helper
    )
    assert seen == [("add", "1"), ("helper", "2")]
