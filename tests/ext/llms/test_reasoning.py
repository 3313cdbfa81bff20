"""Reasoning is streamed beside the text, kept in the history, and goes back as it came to those who wrote it alone."""

from typing import Any

import pytest

from miniagents import Message, MessagePromise, MiniAgents, UserMessage
from miniagents.cluster.tokens import token_from_wire, token_to_wire
from miniagents.ext.llms import (
    Cache,
    Fallback,
    HostedToolCall,
    PartToken,
    ReasoningMessage,
    ReasoningToken,
    ReplyMessage,
    from_openai,
    to_anthropic,
    to_openai,
)
from miniagents.ext.llms.providers.anthropic_effort import set_effort
from miniagents.ext.llms.providers.openai_mapping import to_responses
from miniagents.messages import TextToken, Token, decode, encode
from miniagents.testing import Reply, Script, ScriptedModel
from tests.ext.llms.apis import ONCE
from tests.ext.llms.recorded_replies import (
    DETAILS,
    FUNCTION_CALL,
    REASONING,
    REDACTED,
    THINKING,
    TOOL_USE,
    of_anthropic,
    of_chat,
    of_responses,
    text,
    words_item,
)
from tests.ext.llms.wire import CUT, Wire, block, chunk, says, start, stream

pytestmark = pytest.mark.real_time

STREAMS = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
SUMMARY = "**Looking it up**\n\nThe tool knows cities."


def population(city: str) -> int:
    """How many people live in a city."""
    return 2_100_000


async def tokens_of(promise: MessagePromise) -> list[Token]:
    return [token async for token in promise]


def thoughts_in(tokens: list[Token]) -> str:
    return "".join(token.content for token in tokens if isinstance(token, ReasoningToken))


@STREAMS
async def test_thinking_and_its_signature_go_back_to_anthropic_byte_for_byte(streamed: bool) -> None:
    blocks = [THINKING, REDACTED, text("I look it up."), TOOL_USE]
    first = of_anthropic(*blocks, streamed=streamed, reason="tool_use")
    second = of_anthropic(THINKING, text("2.1 million."), streamed=streamed)
    async with Wire(first, second, says("anthropic", streamed=streamed)) as wire, MiniAgents():
        agent = wire.agent("anthropic", tools=[population], stream=streamed)
        replies = await agent.inquire("How many?")
        await agent.inquire([UserMessage("How many?"), *replies, UserMessage("Sure?")])

    assert wire.requests[1]["messages"][1] == {"role": "assistant", "content": blocks}
    assert wire.requests[2]["messages"][1] == {"role": "assistant", "content": blocks}
    assert wire.requests[2]["messages"][3] == {"role": "assistant", "content": [THINKING, text("2.1 million.")]}
    assert isinstance(replies[0], ReplyMessage)
    shown, hidden = replies[0].parts
    assert (str(shown), shown.is_hidden, str(hidden), hidden.is_hidden) == (THINKING["thinking"], False, "", True)  # type: ignore[attr-defined]


@STREAMS
async def test_encrypted_reasoning_goes_back_to_openai_with_its_call(streamed: bool) -> None:
    first = of_responses(REASONING, FUNCTION_CALL, streamed=streamed)
    second = of_responses(REASONING, words_item("2.1 million."), streamed=streamed)
    async with Wire(first, second, says("responses", streamed=streamed)) as wire, MiniAgents():
        agent = wire.agent("responses", tools=[population], stream=streamed)
        replies = await agent.inquire("How many?")
        await agent.inquire([UserMessage("How many?"), *replies, UserMessage("Sure?")])

    assert wire.requests[0]["include"] == ["reasoning.encrypted_content"]
    assert wire.requests[0]["store"] is False
    assert wire.requests[1]["input"][1:3] == [REASONING, FUNCTION_CALL]
    assert wire.requests[2]["input"][1:3] == [REASONING, FUNCTION_CALL]
    assert wire.requests[2]["input"][4:6] == [REASONING, words_item("2.1 million.")]
    assert isinstance(replies[-1], ReplyMessage)
    assert replies[-1].reasoning == SUMMARY


@STREAMS
@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "The user asks about Paris."},
        {"reasoning": "The user asks about Paris."},
        {"reasoning": "The user asks about Paris.", "reasoning_details": DETAILS},
    ],
    ids=["deepseek", "vllm", "openrouter"],
)
async def test_the_fields_of_chat_servers_go_back_with_tool_calls_alone(fields: Any, streamed: bool) -> None:
    first = of_chat(fields, calls=True, streamed=streamed)
    second = of_chat(fields, words="2.1 million.", streamed=streamed)
    async with Wire(first, second, says("chat", streamed=streamed)) as wire, MiniAgents():
        agent = wire.agent("chat", tools=[population], stream=streamed)
        replies = await agent.inquire("How many?")
        await agent.inquire([UserMessage("How many?"), *replies, UserMessage("Sure?")])

    calls, _, last = wire.requests[2]["messages"][1:4]
    assert {name: calls[name] for name in fields} == fields
    assert last == {"role": "assistant", "content": "2.1 million."}
    assert isinstance(replies[-1], ReplyMessage)
    assert replies[-1].reasoning == "The user asks about Paris."
    assert replies[-1].usage.reasoning_tokens == 30


@pytest.mark.parametrize(("which", "kept"), [("none", [False, False]), ("calls", [True, False]), ("all", [True, True])])
async def test_which_replies_keep_their_reasoning_is_a_setting(which: Any, kept: list[bool]) -> None:
    fields = {"reasoning_content": "Hm."}
    answers = [of_chat(fields, calls=True, streamed=True), of_chat(fields, words="2.1 million.", streamed=True)]
    async with Wire(*answers, says("chat")) as wire, MiniAgents():
        agent = wire.agent("chat", tools=[population], send_reasoning=which)
        replies = await agent.inquire("How many?")
        await agent.inquire([*replies, UserMessage("Sure?")])

    said = [one for one in wire.requests[2]["messages"] if one["role"] == "assistant"]
    assert ["reasoning_content" in one for one in said] == kept


async def test_an_empty_field_goes_back_with_calls_since_servers_demand_it() -> None:
    answer = stream(
        chunk({"role": "assistant", "reasoning_content": ""}),
        chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "population", "arguments": "{}"}}]}),
        chunk({}, "tool_calls"),
    )
    async with Wire(answer, says("chat")) as wire, MiniAgents():
        await wire.agent("chat", tools=[population]).inquire("How many?")

    assert wire.requests[1]["messages"][1]["reasoning_content"] == ""


ANSWERS = {
    "anthropic": lambda streamed: of_anthropic(THINKING, text("Two million."), streamed=streamed),
    "responses": lambda streamed: of_responses(REASONING, words_item("Two million."), streamed=streamed),
    "chat": lambda streamed: of_chat({"reasoning_content": "Hm."}, words="Two million.", streamed=streamed),
}
EACH = pytest.mark.parametrize("api", list(ANSWERS))


@STREAMS
@EACH
async def test_readers_of_texts_see_no_reasoning_and_others_see_it_first(api: str, streamed: bool) -> None:
    async with Wire(ANSWERS[api](streamed)) as wire, MiniAgents():
        replies = wire.agent(api, stream=streamed).inquire("How many?")
        tokens = [token async for promise in replies async for token in promise]
        (reply,) = await replies

    assert "".join(map(str, tokens)) == str(reply) == "Two million."
    assert isinstance(reply, ReplyMessage)
    assert thoughts_in(tokens) == reply.reasoning != ""
    kinds = [type(token) for token in tokens if not isinstance(token, PartToken)]
    assert kinds == sorted(kinds, key=[ReasoningToken, TextToken].index)
    wholes = [token.part for token in tokens if isinstance(token, PartToken)]
    assert wholes == [part for part in reply.parts]


async def test_an_answer_in_the_cache_streams_its_reasoning_again() -> None:
    async with Wire(ANSWERS["anthropic"](True)) as wire, MiniAgents():
        agent = wire.agent("anthropic", cache=Cache())
        await agent.inquire("How many?")
        (promise,) = [promise async for promise in agent.inquire("How many?")]

        assert thoughts_in(await tokens_of(promise)) == THINKING["thinking"]
        assert len(wire.requests) == 1


async def test_a_stream_that_breaks_in_the_reasoning_is_tried_again_although_it_was_read() -> None:
    thinking = block({"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "The first try. "})
    broken = stream(start(), *thinking[:-1], CUT)
    async with Wire(broken, ANSWERS["anthropic"](True)) as wire, MiniAgents():
        tokens = [token async for promise in wire.agent("anthropic").inquire("Hi") async for token in promise]

    assert len(wire.requests) == 2
    assert "".join(map(str, tokens)) == "Two million."
    assert thoughts_in(tokens) == f"The first try. {THINKING['thinking']}"


async def test_reasoning_that_nobody_read_is_not_streamed_twice() -> None:
    thinking = block({"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "The first try. "})
    broken = stream(start(), *thinking[:-1], CUT)
    async with Wire(broken, ANSWERS["anthropic"](True)) as wire, MiniAgents():
        replies = wire.agent("anthropic").inquire("Hi")
        await replies
        tokens = [token async for promise in replies async for token in promise]

    assert thoughts_in(tokens) == THINKING["thinking"]


@pytest.mark.parametrize("writer", list(ANSWERS))
@pytest.mark.parametrize("reader", list(ANSWERS))
async def test_reasoning_goes_to_no_other_api(writer: str, reader: str) -> None:
    async with Wire(ANSWERS[writer](True), says(reader)) as wire, MiniAgents():
        replies = await wire.agent(writer).inquire("How many?")
        await wire.agent(reader, **({"send_reasoning": "all"} if reader == "chat" else {})).inquire([*replies, "Sure?"])

    sent = str(wire.requests[1])
    assert "Two million." in sent
    assert any(word in sent for word in ("thinking", "reasoning_content", "gAAAA")) is (writer == reader)


async def test_reasoning_goes_to_no_other_server_of_the_same_api() -> None:
    async with Wire(ANSWERS["anthropic"](True)) as wire, MiniAgents():
        (reply,) = await wire.agent("anthropic").inquire("How many?")
    elsewhere = reply.with_metadata(blocks={**reply.metadata["blocks"], "provider": "other.example"})
    async with Wire(says("anthropic")) as wire, MiniAgents():
        await wire.agent("anthropic").inquire([elsewhere, "Sure?"])

    assert wire.requests[0]["messages"][1] == {"role": "assistant", "content": "Two million."}


async def test_another_model_of_openai_gets_the_words_and_calls_without_reasoning() -> None:
    answers = of_responses(REASONING, FUNCTION_CALL, streamed=True), says("responses"), says("responses")
    async with Wire(*answers) as wire, MiniAgents():
        replies = await wire.agent("responses", tools=[population]).inquire("How many?")
        await wire.agent("responses", model="gpt-4.1").inquire([*replies, "Sure?"])

    call = {"type": "function_call", "call_id": "call_01", "name": "population", "arguments": '{"city":"Paris"}'}
    assert wire.requests[2]["input"][0] == call
    assert "include" not in wire.requests[2]


async def test_reasoning_that_openai_stores_goes_back_by_its_id_only_while_it_is_stored() -> None:
    known = {name: value for name, value in REASONING.items() if name != "encrypted_content"}
    answers = of_responses(known, words_item("Two million."), streamed=True), says("responses"), says("responses")
    async with Wire(*answers) as wire, MiniAgents():
        replies = await wire.agent("responses", store=True).inquire("How many?")
        for store in (True, False):
            await wire.agent("responses", store=store).inquire([*replies, "Sure?"])

    assert "include" not in wire.requests[0]
    assert wire.requests[1]["input"][:2] == [known, words_item("Two million.")]
    assert wire.requests[2]["input"][0] == {"role": "assistant", "content": "Two million."}


async def test_a_fallback_streams_the_reasoning_of_the_model_that_answers_and_sends_it_back_to_that_alone() -> None:
    async with Wire(ANSWERS["anthropic"](True), says("anthropic")) as wire, MiniAgents():
        down = ScriptedModel.fork(script=Script(Reply.failure(503)), retry=ONCE)
        agent = Fallback(down, wire.agent("anthropic"))
        replies = agent.inquire("How many?")
        tokens = [token async for promise in replies async for token in promise]
        script = Script("Sure.")
        await Fallback(ScriptedModel.fork(script=script), wire.agent("anthropic")).inquire([*await replies, "Sure?"])
        await agent.inquire([*await replies, "Sure?"])

    assert thoughts_in(tokens) == THINKING["thinking"]
    assert wire.requests[1]["messages"][1]["content"][0] == THINKING


async def test_reasoning_alone_is_no_answer() -> None:
    async with Wire(of_anthropic(THINKING, streamed=True), ANSWERS["anthropic"](True)) as wire, MiniAgents():
        assert str(await wire.agent("anthropic").inquire("How many?")) == "Two million."

    assert len(wire.requests) == 2


async def test_thinking_that_was_cut_off_before_its_signature_is_not_sent_back() -> None:
    cut = block({"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "Hm"}, index=1)
    answer = stream(
        start(),
        *block({"type": "text", "text": ""}, {"type": "text_delta", "text": "Two"}),
        *cut,
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    )
    async with Wire(answer, says("anthropic")) as wire, MiniAgents():
        replies = await wire.agent("anthropic").inquire("How many?")
        await wire.agent("anthropic").inquire(["How many?", *replies, "Go on."])

    assert wire.requests[1]["messages"][1] == {"role": "assistant", "content": "Two"}


async def test_a_reply_whose_words_were_changed_goes_back_in_its_new_words() -> None:
    async with Wire(ANSWERS["anthropic"](True)) as wire, MiniAgents():
        (reply,) = await wire.agent("anthropic").inquire("How many?")
    changed = ReplyMessage("Three million.", metadata=reply.metadata)

    assert to_anthropic([UserMessage("How many?"), changed])[1][1] == {"role": "assistant", "content": "Three million."}


async def test_a_reply_with_reasoning_survives_the_wire_format() -> None:
    async with Wire(ANSWERS["anthropic"](True)) as wire, MiniAgents():
        (reply,) = await wire.agent("anthropic").inquire("How many?")

    again = decode(encode(reply))
    assert again == reply
    assert isinstance(again, ReplyMessage)
    assert [type(part) for part in again.parts] == [ReasoningMessage]


@pytest.mark.parametrize(
    "token",
    [ReasoningToken("Hm."), PartToken(HostedToolCall(api="openai", item={"type": "web_search_call"}, name="w"))],
)
def test_tokens_of_reasoning_and_parts_stream_between_nodes(token: Token) -> None:
    assert token_from_wire(token_to_wire(token)) == token


def test_reasoning_in_openais_dictionaries_is_kept() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "population", "arguments": "{}"}}
    said = {"role": "assistant", "content": "Hm", "reasoning_content": "I think.", "tool_calls": [call]}
    (reply,) = from_openai([said])

    assert to_openai([reply]) == [said]
    assert to_openai([reply], send_reasoning="none") == [
        {"role": "assistant", "content": "Hm", "tool_calls": [call]},
    ]


@pytest.mark.parametrize(("api", "sent"), [("anthropic", 1), ("openai", 0), ("chat", 0)])
def test_a_message_of_reasoning_that_stands_alone_goes_to_its_own_api(api: str, sent: int) -> None:
    messages: list[Message] = [UserMessage("Hi"), ReasoningMessage(content="Hm.", api="anthropic", item=THINKING)]
    dicts = {"anthropic": lambda: to_anthropic(messages)[1], "openai": lambda: to_responses(messages)}

    assert len(dicts.get(api, lambda: to_openai(messages))()) == 1 + sent


@pytest.mark.parametrize(
    ("effort", "model", "options"),
    [
        ("none", "claude-opus-4-6", {"thinking": {"type": "disabled"}}),
        ("minimal", "claude-opus-4-6", {"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}}),
        ("max", "claude-opus-5-5", {"output_config": {"effort": "max"}, "thinking": {"type": "adaptive"}}),
        ("low", "claude-haiku-4-5", {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 2148}),
        ("high", "claude-sonnet-4-5-20250929", {"thinking": {"type": "enabled", "budget_tokens": 16384}}),
        ("high", "claude-3-7-sonnet-latest", {"thinking": {"type": "enabled", "budget_tokens": 16384}}),
        (
            "high",
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
            {"thinking": {"type": "enabled", "budget_tokens": 16384}},
        ),
        ("high", "claude-sonnet-4-6", {"output_config": {"effort": "high"}}),
    ],
)
def test_effort_is_the_knob_of_the_model_of_anthropic(effort: str, model: str, options: dict[str, Any]) -> None:
    given: dict[str, Any] = {"effort": effort, "max_tokens": 100}

    set_effort(given, model)

    assert "effort" not in given
    assert {name: given.get(name) for name in options} == options


def test_what_the_user_says_of_thinking_goes_before_effort() -> None:
    given: dict[str, Any] = {"effort": "low", "max_tokens": 100, "thinking": {"type": "disabled"}}

    set_effort(given, "claude-haiku-4-5")

    assert given == {"max_tokens": 100, "thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    ("api", "field", "value"),
    [("chat", "reasoning_effort", "high"), ("responses", "reasoning", {"effort": "high", "summary": "auto"})],
)
async def test_effort_is_the_knob_of_each_api_of_openai(api: str, field: str, value: Any) -> None:
    more: dict[str, Any] = {"reasoning": {"summary": "auto"}} if api == "responses" else {}
    async with Wire(says(api)) as wire, MiniAgents():
        await wire.agent(api, effort="high", **more).inquire("Hi")

    assert wire.requests[0][field] == value
    assert "effort" not in wire.requests[0]


async def test_usage_counts_the_tokens_of_reasoning_and_of_the_cache() -> None:
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 200,
        "cache_read_input_tokens": 1000,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
    }
    async with Wire(of_anthropic(THINKING, text("Two."), streamed=False, usage=usage)) as wire, MiniAgents():
        (reply,) = await wire.agent("anthropic", stream=False).inquire("Hi")
    assert isinstance(reply, ReplyMessage)
    read = reply.usage
    assert (read.input_tokens, read.cached_tokens, read.cache_written_tokens) == (1210, 1000, 200)
    assert (read.output_tokens, read.reasoning_tokens) == (50, 40)
