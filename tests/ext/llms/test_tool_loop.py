"""A turn that was cut acts on nothing: its tool calls do not run, and say why."""

from typing import Any

import msgspec
import pytest

from miniagents import MiniAgents
from miniagents.errors import OutputError
from miniagents.ext.llms import ReplyMessage, ToolResultMessage
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.llms.apis import agent_of, each_api
from tests.ext.llms.wire import Wire, call_item, document, response, stream

pytestmark = pytest.mark.real_time

CUTS = {
    "openai": ("length", "content_filter", "a word that nobody knows"),
    "responses": ("length", "content_filter"),
    "anthropic": ("max_tokens", "refusal", "model_context_window_exceeded", "stop_sequence", "pause_turn"),
}
ARGUMENTS = {"none": "", "half": '{"pa', "all": '{"path": "some/folder"}'}
STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


class Ran(list[str]):
    """What a tool was called with."""

    def wipe(self, path: str = "/") -> str:
        """Delete everything below a folder."""
        self.append(path)
        return f"wiped {path}"


@pytest.mark.parametrize("arguments", list(ARGUMENTS))
@pytest.mark.parametrize(("api", "reason"), [(api, reason) for api, reasons in CUTS.items() for reason in reasons])
@STREAMS
async def test_the_calls_of_a_cut_turn_do_not_run_and_say_why(
    api: str, reason: str, arguments: str, stream: bool, fake_provider: FakeProvider
) -> None:
    ran = Ran()
    fake_provider.reset(Reply(calls=(Call("wipe", ARGUMENTS[arguments]),), stop_reason=reason), "not asked for")

    async with MiniAgents():
        reply, result = await agent_of(api, fake_provider, stream=stream, tools=[ran.wipe]).inquire("clean up")

    assert ran == []
    assert isinstance(reply, ReplyMessage)
    assert reply.stop_reason == reason
    assert isinstance(result, ToolResultMessage)
    assert (result.is_error, result.call_id, result.name) == (True, reply.tool_calls[0].id, "wipe")
    assert result.content.startswith("not run: ")
    assert reason in result.content
    assert len(fake_provider.exchanges) == 1


@each_api
@STREAMS
async def test_every_call_of_a_cut_turn_has_a_result_and_the_conversation_goes_on(
    api: str, stream: bool, fake_provider: FakeProvider
) -> None:
    ran = Ran()
    cut = Reply("I will", calls=(Call("wipe", '{"path": "a"}'), Call("wipe", '{"path')), stop_reason=CUTS[api][0])
    fake_provider.reset(cut, "as you like")  # it refuses calls without a result

    async with MiniAgents():
        agent = agent_of(api, fake_provider, stream=stream, tools=[ran.wipe])
        first = await agent.inquire("clean up")
        second = await agent.inquire(["clean up", *first, "leave it"])

    assert [type(one) for one in first] == [ReplyMessage, ToolResultMessage, ToolResultMessage]
    assert first[0].content == "I will"  # type: ignore[attr-defined]
    assert str(second) == "as you like"
    assert ran == []


@each_api
@STREAMS
async def test_a_turn_of_calls_runs_them(api: str, stream: bool, fake_provider: FakeProvider) -> None:
    ran = Ran()
    fake_provider.reset(Reply(calls=(Call("wipe", {"path": "a"}), Call("wipe", {"path": "b"}))), "done")
    async with MiniAgents():
        await agent_of(api, fake_provider, stream=stream, tools=[ran.wipe]).inquire("clean up")
    assert sorted(ran) == ["a", "b"]


@pytest.mark.parametrize(("api", "reason"), [("openai", "stop"), ("openai", "STOP"), ("anthropic", "end_turn")])
@STREAMS
async def test_calls_run_where_a_compatible_server_ends_their_turn_with_the_word_for_the_end(
    api: str, reason: str, stream: bool, fake_provider: FakeProvider
) -> None:
    ran = Ran()
    fake_provider.reset(Reply(calls=(Call("wipe", {"path": "a"}),), stop_reason=reason), "done")
    async with MiniAgents():
        await agent_of(api, fake_provider, stream=stream, tools=[ran.wipe]).inquire("clean up")
    assert ran == ["a"]


@each_api
@pytest.mark.parametrize("arguments", ['{"path": "a"', '["a"]', '"a"', "7"])
async def test_arguments_that_are_no_whole_object_do_not_run_in_a_whole_turn_either(
    api: str, arguments: str, fake_provider: FakeProvider
) -> None:
    ran = Ran()
    fake_provider.reset(Reply(calls=(Call("wipe", arguments),)), "done")
    async with MiniAgents():
        _, result, _ = await agent_of(api, fake_provider, tools=[ran.wipe]).inquire("clean up")
    assert ran == []
    assert str(result).startswith("failed: the arguments do not fit")


async def test_a_response_that_is_incomplete_without_a_reason_is_cut_too() -> None:
    ran = Ran()
    item = call_item("c1", "wipe", "")
    async with (
        MiniAgents(),
        Wire(stream({"type": "response.incomplete", "response": response(item, status=None)})) as wire,
    ):
        reply, _ = await wire.agent("responses", tools=[ran.wipe]).inquire("clean up")
    async with MiniAgents(), Wire(document(response(item, status="incomplete"))) as wire:
        other, _ = await wire.agent("responses", tools=[ran.wipe], stream=False).inquire("clean up")
    assert reply.stop_reason == other.stop_reason == "incomplete"  # type: ignore[attr-defined]
    assert ran == []


async def test_a_call_that_was_cut_before_its_name_is_left_out() -> None:
    script = Script(Reply("well", calls=(Call("", ""),), stop_reason="length"))
    async with MiniAgents():
        (reply,) = await ScriptedModel.fork(script=script, tools=[Ran().wipe]).inquire("clean up")
    assert reply.tool_calls == ()


@each_api
async def test_a_cut_turn_with_calls_is_no_structured_output(api: str, fake_provider: FakeProvider) -> None:
    class Plan(msgspec.Struct):
        steps: list[str]

    options: dict[str, Any] = {"tools": [Ran().wipe], "output": Plan}
    fake_provider.reset(Reply(calls=(Call("wipe", ""),), stop_reason=CUTS[api][0]))
    async with MiniAgents():
        with pytest.raises(OutputError, match="cut off"):
            await agent_of(api, fake_provider, **options).inquire("clean up")
    assert len(fake_provider.exchanges) == 1
