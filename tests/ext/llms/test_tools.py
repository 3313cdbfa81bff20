"""Functions and agents as tools."""

import asyncio
import math
from typing import Any

import msgspec
import pytest

from miniagents import InteractionContext, MiniAgents, TextToken, UserMessage, miniagent
from miniagents.errors import AgentArgumentError, InvalidOptionError, MaxTurnsError
from miniagents.ext.llms import ReplyMessage, ToolCall, ToolResultMessage, well_formed
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.llms.apis import agent_of, each_api


class Point(msgspec.Struct):
    x: int
    y: int = 0


def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    return a + b


async def norm(point: Point) -> float:
    """How far away a point is."""
    return math.hypot(point.x, point.y)


@miniagent
async def helper(ctx: InteractionContext) -> None:
    """Helps with anything."""
    ctx.reply(f"helped with {await ctx.message_promises}")


def script_of(*calls: Call, then: str = "done") -> Script:
    return Script(Reply(calls=calls), then)


async def results_of(script: Script, *tools: Any, **options: Any) -> list[str]:
    async with MiniAgents():
        replies = await ScriptedModel.fork(script=script, tools=list(tools), **options).inquire("Hi")
    return [str(message) for message in replies if isinstance(message, ToolResultMessage)]


@pytest.mark.real_time
@each_api
async def test_a_model_calls_functions_and_agents_and_answers_with_their_results(
    api: str, fake_provider: FakeProvider
) -> None:
    calls = (
        Call("add", {"a": 1, "b": 2}),
        Call("norm", {"point": {"x": 3, "y": 4}}),
        Call("helper", {"message": "it"}),
    )
    fake_provider.reset(Reply("Let me see.", calls=calls), "It is done.")
    async with MiniAgents():
        replies = await agent_of(api, fake_provider, tools=[add, norm, helper]).inquire("Hi")
    assert [str(message) for message in replies] == ["Let me see.", "3", "5.0", "helped with it", "It is done."]
    first, *results, _ = replies
    assert isinstance(first, ReplyMessage)
    assert [call.name for call in first.tool_calls] == ["add", "norm", "helper"]
    assert [result.call_id for result in results] == [call.id for call in first.tool_calls]  # type: ignore[attr-defined]
    assert well_formed([UserMessage("Hi"), *replies])[1] == ()
    assert len(fake_provider.exchanges) == 2


@pytest.mark.real_time
@each_api
async def test_a_conversation_with_tool_calls_can_be_sent_again(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply(calls=(Call("add", {"a": 1, "b": 2}),)), "three", "again")
    async with MiniAgents():
        agent = agent_of(api, fake_provider, tools=[add])
        replies = await agent.inquire("Hi")
        assert str(await agent.inquire(["Hi", replies, "Once more"])) == "again"


async def test_schemas_come_from_type_hints_and_descriptions_from_docstrings() -> None:
    script = Script("ok")
    async with MiniAgents():
        await ScriptedModel.fork(script=script, tools=[add, norm, helper]).inquire("Hi")
    first, second, third = script.requests[0].tools
    assert (first.name, first.description) == ("add", "Adds two numbers.")
    assert first.schema == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert second.schema["properties"]["point"] == {"$ref": "#/$defs/Point"}
    assert second.schema["$defs"]["Point"]["required"] == ["x"]
    assert third.description == "Helps with anything."
    assert third.schema["properties"] == {"message": {"type": "string"}}


async def test_names_are_mapped_to_what_providers_take_and_are_unique() -> None:
    script = Script("ok")
    odd, same = helper.fork(alias="my helper (ü)"), helper.fork(alias="my helper (ö)")
    async with MiniAgents():
        await ScriptedModel.fork(script=script, tools=[odd, same, helper.fork(alias="x" * 100)]).inquire("Hi")
    assert [tool.name for tool in script.requests[0].tools] == ["my_helper", "my_helper_2", "x" * 64]


async def test_arguments_that_do_not_fit_go_back_to_the_model() -> None:
    script = script_of(Call("add", {"a": "one"}), Call("add", "{broken"), Call("add", {"a": 1, "c": 2}))
    results = await results_of(script, add)
    assert results == [
        "failed: the arguments do not fit: Expected `int`, got `str` - at `$.a`",
        "failed: the arguments do not fit: JSON is malformed: object keys must be strings (byte 1)",
        "failed: the arguments do not fit: Object contains unknown field `c`",
    ]


async def test_a_crashed_tool_says_so_and_its_siblings_keep_their_results() -> None:
    async def broken() -> None:
        raise RuntimeError("out of order")

    results = await results_of(script_of(Call("broken"), Call("add", {"a": 1})), broken, add)
    assert results == ["failed: RuntimeError: out of order", "2"]


async def test_an_unknown_tool_is_a_result_too() -> None:
    (result,) = await results_of(script_of(Call("nobody")), add)
    assert result == "failed: there is no tool 'nobody'; there are: add"


async def test_calls_of_one_turn_run_at_once() -> None:
    both = asyncio.Barrier(2)

    async def meet() -> str:
        await both.wait()
        return "met"

    assert await results_of(script_of(Call("meet"), Call("meet")), meet) == ["met", "met"]


async def test_a_tool_that_takes_too_long_is_a_result_too() -> None:
    async def slow() -> None:
        await asyncio.sleep(61)

    results = await results_of(script_of(Call("slow")), slow)
    assert results == ["failed: TimeoutError: it took longer than 60.0 s (tool_timeout)"]


async def test_a_sync_function_runs_in_a_thread() -> None:
    import threading

    def where() -> str:
        return threading.current_thread().name

    (name,) = await results_of(script_of(Call("where")), where)
    assert name != threading.main_thread().name


async def test_an_agent_as_a_tool_streams_to_whoever_listens() -> None:
    go_on = asyncio.Event()

    @miniagent
    async def streamer(ctx: InteractionContext) -> None:
        async def tokens(_: Any) -> Any:
            yield TextToken("first")
            await go_on.wait()
            yield TextToken(" second")

        from miniagents import TextMessage

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    async with MiniAgents():
        replies = ScriptedModel.fork(script=script_of(Call("streamer", {"message": "go"})), tools=[streamer]).inquire(
            "Hi"
        )
        each = aiter(replies)
        await anext(each)
        result = await anext(each)
        tokens = aiter(result)
        assert str(await anext(tokens)) == "first"
        go_on.set()
        assert str(await anext(tokens)) == " second"
        await replies


async def test_a_tool_may_ask_for_the_context() -> None:
    async def who(ctx: InteractionContext, greeting: str) -> str:
        return f"{greeting}, {ctx.this_agent.alias}"

    assert await results_of(script_of(Call("who", {"greeting": "Hi"})), who) == ["Hi, ScriptedModel"]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (True, "2"),
        (False, "failed: not approved: the call was refused"),
        ("not on a Sunday", "failed: not approved: not on a Sunday"),
    ],
)
async def test_a_call_may_be_held_for_approval(answer: object, result: str) -> None:
    asked: list[ToolCall] = []

    async def approve(call: ToolCall) -> object:
        asked.append(call)
        return answer

    assert await results_of(script_of(Call("add", {"a": 1})), add, approve=approve) == [result]
    assert [str(call) for call in asked] == ['add({"a":1})']


async def test_an_agent_may_approve() -> None:
    @miniagent
    async def human(ctx: InteractionContext) -> None:
        ctx.reply("yes" if "1" in str(await ctx.message_promises) else "that is too much")

    script = script_of(Call("add", {"a": 1}), Call("add", {"a": 2}))
    assert await results_of(script, add, approve=human) == ["2", "failed: not approved: that is too much"]


async def test_max_turns_ends_a_loop_with_a_clear_error_and_a_whole_history() -> None:
    got = []
    async with MiniAgents():
        replies = ScriptedModel.fork(
            script=Script(Reply(calls=(Call("add", {"a": 1}),))), tools=[add], max_turns=3
        ).inquire("Hi")
        with pytest.raises(MaxTurnsError, match="after 3 turns"):
            async for promise in replies:
                got.append(await promise)
    assert len(got) == 6
    assert well_formed(got)[1] == ()


async def test_a_demand_for_a_call_holds_for_the_first_turn() -> None:
    script = script_of(Call("add", {"a": 1}))
    await results_of(script, add, tool_choice="required")
    assert [request.options.get("tool_choice") for request in script.requests] == ["required", None]


async def test_handing_over_is_replying_with_anothers_replies() -> None:
    expert = ScriptedModel.fork(alias="expert", script=Script("the expert speaks"))

    @miniagent
    async def front_desk(ctx: InteractionContext) -> None:
        ctx.reply(expert.inquire(ctx.message_promises))

    async with MiniAgents():
        (reply,) = await front_desk.inquire("Hi")
    assert reply.agent_alias == "expert"  # type: ignore[attr-defined]


async def test_what_is_no_tool_is_refused() -> None:
    async with MiniAgents():
        with pytest.raises(AgentArgumentError, match="functions and agents"):
            await ScriptedModel.fork(script=Script("x"), tools=["no tool"]).inquire("Hi")  # type: ignore[list-item]
        with pytest.raises(InvalidOptionError, match="by name"):
            await ScriptedModel.fork(script=Script("x"), tools=[lambda *args: None]).inquire("Hi")
