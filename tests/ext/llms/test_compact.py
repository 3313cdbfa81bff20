"""Conversations that outgrow the window of their model."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from miniagents import AssistantMessage, InteractionContext, Message, MiniAgents, SystemMessage, UserMessage, miniagent
from miniagents.errors import ContextOverflowError, InvalidOptionError
from miniagents.ext.llms import (
    Budget,
    Compact,
    LocalAgent,
    OpenAIAgent,
    ReplyMessage,
    SummaryMessage,
    ToolCall,
    ToolResultMessage,
)
from miniagents.ext.llms.summaries import prompt, split
from miniagents.ext.llms.windows import window_of
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.llms.apis import agent_of
from tests.ext.llms.wire import Wire, block, document, end, message, response, start, stream, text_block, text_item

OVERFLOW = Reply.failure(400, error="prompt is too long: 300000 tokens > 200000 maximum")
FIT = 100
"""Tokens that a message of `long` has."""


def long(name: str) -> str:
    """A text of 100 tokens, as they are estimated."""
    return name.ljust(7) + " abc" * (FIT - 6)  # a word for every token, as scripted models count


def turns(count: int) -> list[Message]:
    """A conversation of so many messages, the last one of the user."""
    kinds = (AssistantMessage, UserMessage) if count % 2 == 0 else (UserMessage, AssistantMessage)
    return [kinds[number % 2](long(f"m{number}")) for number in range(count)]


def names(messages: tuple[Message, ...]) -> list[str]:
    """The first words of messages."""
    return [str(message).split()[0] for message in messages]


async def test_the_older_messages_become_a_summary_and_the_newest_and_the_system_prompts_stay() -> None:
    script, writer = Script("done"), Script("Ann wants pears.")
    compact = Compact(at=0.8, keep_last=3, by=ScriptedModel.fork(script=writer), window=1000)
    conversation = [*turns(11), SystemMessage("Be brief.")]
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, system="You are helpful.", compact=compact)
        assert str(await agent.inquire(conversation)) == "done"
    (request,) = script.requests
    assert names(request.messages) == ["You", "Be", "Summary", "m8", "m9", "m10"]
    summary = request.messages[2]
    assert isinstance(summary, SummaryMessage)
    assert summary.original_messages == tuple(turns(11)[:8])
    assert "Ann wants pears." in str(summary)
    assert compact.summaries == (summary,)
    (asked,) = writer.requests
    assert "m0" in str(asked.messages[-1])
    assert "m8" not in str(asked.messages[-1])


async def test_a_conversation_that_fits_is_sent_as_it_is() -> None:
    script, writer = Script("done"), Script("a summary")
    compact = Compact(at=0.8, by=ScriptedModel.fork(script=writer), window=1000)
    async with MiniAgents():
        await ScriptedModel.fork(script=script, compact=compact).inquire(turns(7))
    assert len(script.requests[0].messages) == 7
    assert not writer.requests


def conversation_of(kinds: list[int]) -> list[Message]:
    messages: list[Message] = []
    for number, kind in enumerate(kinds):
        if kind == 0:
            messages.append(UserMessage(f"u{number}"))
        elif kind == 1:
            messages.append(AssistantMessage(f"a{number}"))
        else:
            calls = tuple(ToolCall(id=f"c{number}_{place}", name="f") for place in range(kind - 1))
            messages.append(ReplyMessage("", tool_calls=calls))
            messages += [ToolResultMessage("r", call_id=call.id, name="f") for call in calls]
    return messages


@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 8))
def test_no_call_is_separated_from_its_results(kinds: list[int], keep_last: int) -> None:
    messages = conversation_of(kinds)
    older, newer = split(messages, keep_last)
    assert (*older, *newer) == tuple(messages)
    assert len(newer) >= min(keep_last, len(messages))
    for part in (older, newer):
        calls = [call.id for message in part if isinstance(message, ReplyMessage) for call in message.tool_calls]
        results = [message.call_id for message in part if isinstance(message, ToolResultMessage)]
        assert calls == results


def search(query: str) -> str:
    """Search."""
    if query == "bad":
        raise ValueError("no index")
    return long(query)


async def test_a_loop_of_tool_calls_is_shortened_between_its_turns_and_keeps_what_has_failed() -> None:
    calls = [Reply(calls=(Call("search", {"query": query}),)) for query in ("bad", "q1", "q2", "q3", "q4", "q5", "q6")]
    script, writer = Script(*calls, "done"), Script("Searched for much.")
    compact = Compact(at=0.5, keep_last=2, by=ScriptedModel.fork(script=writer), window=1000)
    async with MiniAgents():
        replies = await ScriptedModel.fork(script=script, tools=[search], compact=compact).inquire("Find it.")
    assert str(replies[-1]) == "done"
    assert len(replies) == 15  # the caller has all of it
    last = script.requests[-1].messages
    assert isinstance(last[0], SummaryMessage)
    assert '- search({"query":"bad"}): failed: ValueError: no index' in str(last[0])
    assert str(last[0].original_messages[0]) == "Find it."
    assert len(last) < 6


async def test_the_agent_that_writes_summaries_gets_no_tools_and_no_form_for_its_answer() -> None:
    script, writer = Script("done"), Script("a summary")
    own, budget = Budget(tokens=10_000), Budget(tokens=100_000)
    by = ScriptedModel.fork(script=writer, tools=[search], output=list[int], budget=own)
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, compact=Compact(keep_last=2, by=by, window=1000, budget=budget))
        await agent.inquire(turns(9))
    (request,) = writer.requests
    assert request.tools == ()
    assert request.output is None
    assert budget.spent.tokens == own.spent.tokens > 0


async def test_without_an_agent_the_model_itself_writes_the_summary_without_tools() -> None:
    script = Script("a summary", "done")
    own = Budget(tokens=100_000)
    compact = Compact(keep_last=2, window=1000, budget=own)
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, tools=[search], tool_choice="required", compact=compact, seed=1)
        assert str(await agent.inquire(turns(9))) == "done"
    asked, request = script.requests
    assert asked.tools == ()
    assert asked.options == {"seed": 1}
    assert request.tools
    assert request.options == {"seed": 1, "tool_choice": "required"}
    assert own.spent.tokens > 0
    assert isinstance(request.messages[0], SummaryMessage)


@pytest.mark.parametrize("way", ["an error", "too slow", "no money", "cut off", "refused", "empty", "longer", "no LLM"])
async def test_a_summary_that_fails_leaves_the_conversation_as_it_is(way: str) -> None:
    @miniagent
    async def broken(ctx: InteractionContext) -> None:
        raise ValueError("broken")

    writers: dict[str, Any] = {
        "an error": Reply.failure(400, error="no"),
        "too slow": Reply("a summary", delay=1000.0),
        "no money": "a summary",
        "cut off": Reply("a summ", stop_reason="length"),
        "refused": Reply(refusal="no"),
        "empty": " ",
        "longer": long("z") * 20,
        "no LLM": "",
    }
    by = broken if way == "no LLM" else ScriptedModel.fork(script=Script(writers[way]))
    budget = Budget(tokens=1) if way == "no money" else None
    script = Script("done")
    compact = Compact(keep_last=2, by=by, window=1000, timeout=30.0, budget=budget)
    conversation = turns(9)
    async with MiniAgents():
        with capture_logs() as logs:
            assert str(await ScriptedModel.fork(script=script, compact=compact).inquire(conversation)) == "done"
    assert script.requests[0].messages == tuple(conversation)
    assert [entry["event"] for entry in logs if entry["event"] == "llm.compact_failed"]
    assert not compact.summaries


async def test_an_overflow_is_answered_once_by_all_but_the_last_message() -> None:
    script, writer = Script(OVERFLOW, "done"), Script("a summary")
    compact = Compact(by=ScriptedModel.fork(script=writer), window=1_000_000)
    async with MiniAgents():
        assert str(await ScriptedModel.fork(script=script, compact=compact).inquire(turns(9))) == "done"
    assert names(script.requests[1].messages) == ["Summary", "m8"]


async def test_a_second_overflow_is_an_error() -> None:
    script, writer = Script(OVERFLOW), Script("a summary")
    compact = Compact(by=ScriptedModel.fork(script=writer), window=1_000_000)
    async with MiniAgents():
        with pytest.raises(ContextOverflowError):
            await ScriptedModel.fork(script=script, compact=compact).inquire(turns(9))
    assert len(script.requests) == 2
    assert len(writer.requests) == 1


async def test_an_overflow_whose_summary_fails_is_the_overflow() -> None:
    script, writer = Script(OVERFLOW), Script(Reply.failure(400, error="no"))
    compact = Compact(by=ScriptedModel.fork(script=writer), window=1_000_000)
    async with MiniAgents():
        with pytest.raises(ContextOverflowError):
            await ScriptedModel.fork(script=script, compact=compact).inquire(turns(9))
    assert len(script.requests) == 1


async def test_after_two_summaries_that_free_too_little_there_are_no_more() -> None:
    replies = [Reply(calls=(Call("search", {"query": f"q{number}"}),)) for number in range(6)]
    script, writer = Script(*replies, "done"), Script("a summary that is longer than the request of the user")
    compact = Compact(keep_last=2, by=ScriptedModel.fork(script=writer), window=1000)
    async with MiniAgents():
        with capture_logs() as logs:
            # The system prompt alone is too long, so that no summary helps.
            agent = ScriptedModel.fork(script=script, tools=[search], system=long("s") * 9, compact=compact)
            assert str((await agent.inquire("Go."))[-1]) == "done"
    events = [entry["event"] for entry in logs]
    assert events.count("llm.compact_failed") == 2
    assert events.count("llm.compact_given_up") == 1
    assert len(writer.requests) == 1
    assert len(script.requests[-1].messages) == 14


async def test_tools_and_system_prompts_count() -> None:
    def told(x: int) -> int:
        return x

    told.__doc__ = long("tool") * 4
    for options in ({"tools": [told]}, {"system": long("system") * 4}):
        script = Script("a summary", "done")
        compact = Compact(keep_last=2, window=1000)
        async with MiniAgents():
            await ScriptedModel.fork(script=script, compact=compact, **options).inquire(turns(5))
        assert len(script.requests) == 2, options
        assert len(compact.summaries) == 1


async def test_the_tokens_of_the_answer_need_a_place_in_the_window() -> None:
    for max_tokens, summaries in ((100, 0), (600, 1)):
        script = Script("a summary", "done") if summaries else Script("done")
        compact = Compact(keep_last=2, window=1000)
        async with MiniAgents():
            await ScriptedModel.fork(script=script, compact=compact, max_tokens=max_tokens).inquire(turns(5))
        assert len(compact.summaries) == summaries


async def test_estimates_are_corrected_by_what_requests_have_used() -> None:
    script = Script(Reply("first", input_tokens=3000), "a summary", "done")
    compact = Compact(keep_last=2, window=1000)
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, compact=compact)
        await agent.inquire(turns(5))
        assert 500 < compact.corrected("scripted", 100) < 700
        assert len(script.requests) == 1
        await agent.inquire(turns(5))
    assert len(script.requests) == 3


async def test_a_conversation_that_comes_again_is_not_summarized_again() -> None:
    script, writer = Script("done"), Script("a summary")
    compact = Compact(keep_last=3, by=ScriptedModel.fork(script=writer), window=1000)
    history = turns(9)
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, compact=compact)
        for number in range(3):
            reply = await agent.inquire(history)
            history += [*reply, UserMessage(long(f"next{number}"))]
    assert len(writer.requests) == 1
    assert names(script.requests[2].messages) == ["Summary", "m6", "m7", "m8", "done", "next0", "done", "next1"]


async def test_a_known_summary_never_stands_for_the_last_message() -> None:
    script, writer = Script("done"), Script("a summary")
    compact = Compact(keep_last=2, by=ScriptedModel.fork(script=writer), window=1000)
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, compact=compact)
        await agent.inquire(turns(12)[1:])
        await agent.inquire(turns(12)[1:10])  # all of it is in the summary of the call before
    assert names(script.requests[1].messages)[0] == "Summary"
    assert names(script.requests[1].messages)[-1] == "m9"


async def test_a_summary_of_a_summary_has_all_original_messages() -> None:
    script, writer = Script("done"), Script("one", "two")
    compact = Compact(keep_last=2, by=ScriptedModel.fork(script=writer), window=1000)
    history = turns(9)
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, compact=compact)
        await agent.inquire(history)
        history += turns(8)
        await agent.inquire(history)
    summary = script.requests[1].messages[0]
    assert isinstance(summary, SummaryMessage)
    assert summary.original_messages == tuple(history[:15])
    assert "(15 messages)" in str(summary)
    assert "[user] Summary of the conversation before this (7 messages):" in str(writer.requests[1].messages[-1])


def test_a_text_for_a_summary_fits_the_window_of_its_writer() -> None:
    messages = prompt([UserMessage("begin " + "x" * 10_000 + " end"), UserMessage("short")], "Sum up.", 1000)
    text = str(messages[1])
    assert len(text) < 1200
    assert re.search(r"begin x+\n\[\.\.\. \d+ letters \.\.\.\]\nx+ end", text)
    assert "short" in text


@pytest.mark.real_time
@pytest.mark.parametrize("api", ["anthropic", "responses"])
async def test_the_provider_counts_where_it_can(
    api: str, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("miniagents.ext.llms.compaction._COUNT_SECONDS", 60.0)  # a busy machine is no deaf provider
    words = [UserMessage("a " * 100), AssistantMessage("b " * 100), UserMessage("c " * 100)]
    fake_provider.reset("a summary", "done")
    compact = Compact(keep_last=1, window=300)  # 300 words, and half as many estimated tokens
    async with MiniAgents():
        await agent_of(api, fake_provider, system="x", tools=[search], compact=compact).inquire(words)
    paths = [exchange.path for exchange in fake_provider.exchanges]
    endings = {"anthropic": "/messages", "responses": "/responses"}
    counting = {"anthropic": "/v1/messages/count_tokens", "responses": "/v1/responses/input_tokens"}
    assert paths == [counting[api], f"/v1{endings[api]}", f"/v1{endings[api]}"]
    counted = fake_provider.exchanges[0]
    assert counted.body["tools"]
    assert "stream" not in counted.body
    assert "idempotency-key" not in counted.headers


@pytest.mark.real_time
async def test_where_counting_fails_the_estimate_holds(
    fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_provider.reset("done")
    monkeypatch.setattr("miniagents.testing.fake_provider.COUNTS", ())  # as servers that are compatible to some degree
    async with MiniAgents():
        with capture_logs() as logs:
            await agent_of("anthropic", fake_provider, compact=Compact(window=400)).inquire("a " * 300)
    assert [(exchange.path, exchange.status) for exchange in fake_provider.exchanges] == [
        ("/v1/messages/count_tokens", 404),
        ("/v1/messages", 200),
    ]
    assert "llm.tokens_not_counted" in [entry["event"] for entry in logs]


@pytest.mark.real_time
@pytest.mark.parametrize("api", ["anthropic", "responses"])
async def test_the_provider_itself_compacts_where_it_can(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset("done")
    async with MiniAgents():
        await agent_of(api, fake_provider, compact=Compact(at=0.5, by="provider", window=400_000)).inquire("Hi")
    (exchange,) = fake_provider.exchanges
    if api == "responses":
        assert exchange.body["context_management"] == [{"type": "compaction", "compact_threshold": 200_000}]
    else:
        trigger = {"type": "input_tokens", "value": 200_000}
        assert exchange.body["context_management"] == {"edits": [{"type": "compact_20260112", "trigger": trigger}]}
        assert exchange.headers["anthropic-beta"] == "compact-2026-01-12"


def test_an_api_that_does_not_compact_is_refused_when_the_agent_is_made() -> None:
    for agent in (OpenAIAgent, LocalAgent):
        with pytest.raises(InvalidOptionError, match=f"agent {agent.alias}: chat completions do not compact"):
            agent.fork(model="m", compact=Compact(by="provider"))


@pytest.mark.parametrize(
    "options", [{"at": 0.0}, {"at": 1.1}, {"keep_last": 0}, {"by": "me"}, {"window": 0}, {"timeout": 0.0}]
)
def test_an_option_outside_its_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError, match=f"{next(iter(options))}="):
        Compact(**options)


async def test_the_window_of_a_known_model_is_known_and_another_one_must_be_given() -> None:
    pytest.importorskip("genai_prices", reason="the windows of models are in genai-prices")
    assert await window_of("claude-haiku-4-5") == 200_000
    assert await window_of("scripted") is None
    async with MiniAgents():
        with pytest.raises(InvalidOptionError, match=r"window of 'scripted' is not known: give Compact\(window=\)"):
            await ScriptedModel.fork(script=Script("done"), compact=Compact()).inquire("Hi")


def test_a_summary_survives_the_wire() -> None:
    from miniagents import decode, encode

    summary = SummaryMessage("short", original_messages=(UserMessage("long"),))
    assert decode(encode(summary)) == summary


SUMMED = {"type": "compaction", "id": "cmp_1", "encrypted_content": "what was said"}
BLOCK = {"type": "compaction", "content": "Ann wants pears.", "encrypted_content": "signed"}


@pytest.mark.real_time
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("api", ["anthropic", "responses"])
async def test_what_the_provider_has_made_of_a_conversation_goes_back_to_it(api: str, streamed: bool) -> None:
    if api == "responses":
        items = [SUMMED, text_item("all is well")]
        done = [
            {"type": "response.output_item.done", "output_index": place, "item": item}
            for place, item in enumerate(items)
        ]
        ending = {"type": "response.completed", "response": response(*items)}
        answer = stream(*done, ending) if streamed else document(response(*items))
    else:
        begun = {"type": "compaction", "content": None}
        delta = {"type": "compaction_delta", "content": BLOCK["content"], "encrypted_content": "signed"}
        events = [start(), *block(begun, delta), *text_block("all is well", index=1), *end()]
        answer = stream(*events) if streamed else document(message(BLOCK, {"type": "text", "text": "all is well"}))
    async with Wire(answer) as wire, MiniAgents():
        agent = wire.agent(api, stream=streamed, compact=Compact(by="provider", window=400_000))
        history = [UserMessage("Hi")]
        replies = await agent.inquire(history)
        assert str(replies[-1]) == "all is well"
        await agent.inquire([*history, *replies, UserMessage("Go on.")])
    body = wire.requests[1]
    if api == "responses":
        assert SUMMED in body["input"]
        assert body["input"].index(SUMMED) == 1
    else:
        assert body["messages"][1]["content"] == [BLOCK, {"type": "text", "text": "all is well"}]
