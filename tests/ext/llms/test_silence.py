"""The syntax of a stream, and its silence: what keeps a connection open is life, and breaks nothing."""

import asyncio
import json
import time
from typing import Any

import pytest

from miniagents import Message, MiniAgents
from miniagents.errors import IncompleteResponseError, StalledError
from miniagents.ext.llms import Cache, FileMessage, ImageMessage, ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.llms.silence import Silence
from miniagents.messages import SystemMessage, UserMessage, decode, encode
from tests.ext.llms.apis import ONCE
from tests.ext.llms.wire import (
    APIS,
    CUT,
    DONE,
    Answer,
    Wire,
    call_delta,
    chunk,
    document,
    end,
    ending,
    event,
    opening,
    says,
    says_piece,
    start,
    stream,
    tool_block,
)

EACH = pytest.mark.parametrize("api", APIS)
real_time = pytest.mark.real_time

NOISE = {
    "empty data": b"data:\n\ndata: \n\n",
    "a comment": b": ping\n\n",
    "an id": b"id: 7\n\n",
    "an id, and a comment": b"id: 7\n: ping\n\n",
    "a pause between attempts": b"retry: 3000\n\n",
    "a type alone": b"event: ping\n\n",
    "Anthropic's ping": event({"type": "ping"}),
    "blank lines": b"\n\n\n",
}


@EACH
@real_time
@pytest.mark.parametrize("noise", list(NOISE))
async def test_what_keeps_a_connection_open_does_not_end_an_answer(api: str, noise: str) -> None:
    frames = [*opening(api), says_piece(api, "all is"), says_piece(api, " well"), *ending(api)]
    parts = [part for frame in frames for part in (NOISE[noise], frame)]
    async with MiniAgents(), Wire(stream(*parts)) as wire:
        assert str(await wire.agent(api).inquire("Hi")) == "all is well"
    assert len(wire.requests) == 1


@EACH
@real_time
async def test_it_makes_no_difference_how_the_bytes_are_cut(api: str) -> None:
    frames = [*opening(api), says_piece(api, "all is"), says_piece(api, " well"), *ending(api)]
    raw = b"".join(one if isinstance(one, bytes) else event(one) for one in frames)
    for size in (1, 7, len(raw)):
        parts = [raw[at : at + size] for at in range(0, len(raw), size)]
        async with MiniAgents(), Wire(stream(*parts)) as wire:
            assert str(await wire.agent(api).inquire("Hi")) == "all is well"


@EACH
@real_time
async def test_a_server_that_keeps_the_connection_open_after_the_last_event_does_not_hold_up_the_answer(
    api: str,
) -> None:
    frames = [*opening(api), says_piece(api, "all is well"), *ending(api)]
    async with MiniAgents(), Wire(stream(*frames, 60.0)) as wire, asyncio.timeout(10):
        assert str(await wire.agent(api).inquire("Hi")) == "all is well"


@real_time
async def test_a_connection_is_used_again() -> None:
    peers = set()
    async with MiniAgents(), Wire(says("chat")) as wire:
        agent = wire.agent("chat")
        for _ in range(3):
            await agent.inquire("Hi")
            peers |= {writer.get_extra_info("peername") for writer in wire.writers}
    assert len(peers) == 1


# Silence


@EACH
@real_time
@pytest.mark.parametrize("noise", ["a comment", "Anthropic's ping", "empty data"])
async def test_keep_alives_are_life(api: str, noise: str) -> None:
    alive = [part for _ in range(8) for part in (NOISE[noise], 0.05)]
    frames = [*opening(api), *alive, says_piece(api, "all is well"), *ending(api)]
    async with MiniAgents(), Wire(stream(*frames)) as wire:
        assert str(await wire.agent(api, idle_timeout=0.2, retry=ONCE).inquire("Hi")) == "all is well"


@EACH
@real_time
async def test_blank_space_before_a_document_is_life(api: str) -> None:
    whole = says(api, streamed=False)
    whole.parts = (*[part for _ in range(8) for part in (b"\n", 0.05)], *whole.parts)
    async with MiniAgents(), Wire(whole) as wire:
        agent = wire.agent(api, stream=False, idle_timeout=0.2, retry=ONCE)
        assert str(await agent.inquire("Hi")) == "all is well"


@EACH
@real_time
async def test_silence_between_tokens_is_a_stall(api: str) -> None:
    frames = [*opening(api), says_piece(api, "all is"), 60.0]
    async with MiniAgents(), Wire(stream(*frames)) as wire:
        with pytest.raises(StalledError, match=r"0\.1 s"):
            await wire.agent(api, idle_timeout=0.1, retry=ONCE).inquire("Hi")


@real_time
async def test_a_pause_of_our_own_process_is_no_stall_and_nothing_is_paid_twice() -> None:
    async def pause() -> None:
        loop.call_later(0.01, time.sleep, 0.5)  # longer than the provider may be silent

    loop = asyncio.get_running_loop()
    frames = [says_piece("chat", "all is"), pause, 0.1, says_piece("chat", " well"), *ending("chat")]
    async with MiniAgents(), Wire(stream(*frames)) as wire:
        assert str(await wire.agent("chat", idle_timeout=0.2).inquire("Hi")) == "all is well"
    assert len(wire.requests) == 1


async def test_silence_is_noticed_after_its_time_and_a_tenth_more_at_most() -> None:
    loop = asyncio.get_running_loop()
    silence, began = Silence(10.0), loop.time()
    with pytest.raises(TimeoutError):
        async with silence.timeout:
            await asyncio.sleep(0.95)
            silence.steps = 0
            began = loop.time()
            await asyncio.sleep(1000)
    assert 10.0 <= loop.time() - began <= 11.0


async def test_silence_is_never_noticed_where_there_is_no_limit() -> None:
    silence = Silence(None)
    async with silence.timeout:
        await asyncio.sleep(1e6)
    silence.stop()


async def test_time_in_which_the_loop_stood_still_is_one_step_of_silence() -> None:
    loop: Any = asyncio.get_running_loop()
    silence = Silence(10.0)
    async with silence.timeout:
        loop.now += 1000.0
        await asyncio.sleep(5)
    silence.stop()
    assert silence.steps <= 7


# Halves of letters


@EACH
@real_time
async def test_an_emoji_in_two_halves_is_one(api: str) -> None:
    def half(which: str) -> bytes:
        return event(says_piece(api, "HALF")).replace(b"HALF", which.encode())

    frames = [*opening(api), half("a\\ud83d"), b": ping\n\n", half("\\ude00b"), half("c\\ud83d"), *ending(api)]
    async with MiniAgents(), Wire(stream(*frames)) as wire:
        replies = wire.agent(api).inquire("Hi")
        tokens = [str(token) async for promise in replies async for token in promise]
        (reply,) = await replies
    assert str(reply) == "".join(tokens) == "a😀bc\ufffd"
    assert decode(encode(reply)) == reply


@EACH
@real_time
async def test_half_a_letter_in_a_document_is_a_question_mark(api: str) -> None:
    whole = says(api, "HALF", streamed=False)
    whole.parts = tuple(part.replace(b"HALF", b"a\\ud83db") for part in whole.parts)
    async with MiniAgents(), Wire(whole) as wire:
        (reply,) = await wire.agent(api, stream=False).inquire("Hi")
    assert str(reply) == "a\ufffdb"
    assert decode(encode(reply)) == reply


@real_time
@pytest.mark.parametrize(
    ("api", "answer"),
    [
        (
            "chat",
            stream(
                call_delta(0, "x", "look", '{"a":"\ud83d'),
                call_delta(0, None, None, '\ude00"}'),
                chunk({}, "stop"),
                DONE,
            ),
        ),
        ("anthropic", stream(start(), *tool_block("t", "look", '{"a":"\ud83d', '\ude00"}'), *end("tool_use"))),
    ],
)
async def test_an_argument_in_two_halves_is_whole(api: str, answer: Answer) -> None:
    looked = []

    def look(a: str) -> str:
        looked.append(a)
        return "ok"

    async with MiniAgents(), Wire(answer, says(api)) as wire:
        await wire.agent(api, tools=[look]).inquire("Hi")
    assert looked == ["😀"]


BROKEN = "report-\udcff.txt"
CONVERSATIONS: dict[str, list[Message]] = {
    "a prompt": [UserMessage(BROKEN)],
    "a reply": [UserMessage("Hi"), ReplyMessage(BROKEN), UserMessage("Hi")],
    "a tool call and its result": [
        UserMessage("Hi"),
        ReplyMessage(
            "", tool_calls=(ToolCall(id="c", name="look", arguments=json.dumps({"a": "b"})[:-1] + ',"c":"\udcff"}'),)
        ),
        ToolResultMessage(BROKEN, call_id="c", name="look"),
    ],
    "what a tool shows": [
        UserMessage("Hi"),
        ReplyMessage("", tool_calls=(ToolCall(id="c", name="look"),)),
        ToolResultMessage("", call_id="c", name="look", parts=(UserMessage(BROKEN), ImageMessage(url="https://a.b/c"))),
    ],
    "what is said about a file": [FileMessage(data=b"%PDF", media_type="application/pdf", context=BROKEN)],
    "the name of a file": [FileMessage(data=b"%PDF", media_type="application/pdf", filename=BROKEN), UserMessage("Hi")],
}


@EACH
@real_time
@pytest.mark.parametrize("where", list(CONVERSATIONS))
async def test_half_a_letter_in_a_conversation_does_not_end_it(api: str, where: str) -> None:
    conversation = CONVERSATIONS[where]
    async with MiniAgents(), Wire(says(api)) as wire:
        agent = wire.agent(api, cache=Cache())
        assert str(await agent.inquire([SystemMessage(BROKEN), *conversation])) == "all is well"
    sent = json.dumps(wire.requests[0], ensure_ascii=False)
    assert sent.count("report-\ufffd.txt") == 2


@EACH
@real_time
async def test_a_tool_may_answer_with_half_a_letter(api: str) -> None:
    asks = {
        "chat": stream(call_delta(0, "x", "look", "{}"), chunk({}, "tool_calls"), DONE),
        "responses": stream(
            {
                "type": "response.completed",
                "response": {
                    "status": "completed",
                    "output": [{"type": "function_call", "call_id": "x", "name": "look"}],
                },
            }
        ),
        "anthropic": stream(start(), *tool_block("x", "look"), *end("tool_use")),
    }

    def look() -> str:
        return BROKEN

    async with MiniAgents(), Wire(asks[api], says(api)) as wire:
        replies = await wire.agent(api, tools=[look]).inquire("Hi")
    assert str(replies[-1]) == "all is well"


# What the SDK decodes


@real_time
async def test_a_client_that_has_a_framing_of_its_own_is_read_through_its_decoder() -> None:
    anthropic = pytest.importorskip("anthropic")
    from miniagents.ext.llms import AnthropicAgent

    frames = [start(), says_piece("anthropic", "all is well"), *end()]

    class Decoder:
        async def aiter_bytes(self, chunks: Any) -> Any:
            async for line in chunks:
                for one in line.splitlines():
                    yield anthropic._streaming.ServerSentEvent(event="completion", data=one.decode())

    class Client(anthropic.AsyncAnthropic):  # type: ignore[misc, name-defined]  # as AsyncAnthropicBedrock
        def _make_sse_decoder(self) -> Any:
            return Decoder()

    raw = Answer(
        *[json.dumps(one).encode() + b"\n" for one in frames], content_type="application/vnd.amazon.eventstream"
    )
    async with MiniAgents(), Wire(raw) as wire:
        client = Client(api_key="key of a client", base_url=f"http://127.0.0.1:{wire.port}")
        assert str(await AnthropicAgent.fork(model="m", async_client=client).inquire("Hi")) == "all is well"
        await client.close()


@EACH
@real_time
async def test_a_cut_after_a_delivered_token_is_the_readers(api: str) -> None:
    seen = []
    frames = [*opening(api), says_piece(api, "all"), 0.05, CUT]
    async with MiniAgents(), Wire(stream(*frames)) as wire:
        with pytest.raises(IncompleteResponseError, match="cut in the middle"):
            async for promise in wire.agent(api).inquire("Hi"):
                async for token in promise:
                    seen.append(str(token))
    assert seen == ["all"]
    assert len(wire.requests) == 1


@real_time
async def test_a_document_that_is_cut_is_asked_for_again() -> None:
    cut = document({"choices": []})
    cut.parts = (b'{"choices": [', CUT)
    async with MiniAgents(), Wire(cut, says("chat", streamed=False)) as wire:
        assert str(await wire.agent("chat", stream=False).inquire("Hi")) == "all is well"
