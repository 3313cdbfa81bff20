"""Calls of agents of another node, over frames."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from miniagents import (
    AgentRef,
    InteractionContext,
    Message,
    MessageTokenAppender,
    NodeLostError,
    StopReason,
    TextMessage,
    TextToken,
    Token,
    miniagent,
)
from miniagents.actors.observing.observer import Observer
from miniagents.cluster import LossCause
from miniagents.cluster.remote_call import WINDOW
from miniagents.errors import ActorStoppedError, AgentArgumentError, AskTimeoutError, PromiseCancelledError
from miniagents.messages import register_value_type
from miniagents.promising.flow import Flow, current_flow
from tests.cluster.clusters import two_nodes

LOG: list[Any] = []


class Percent(Token, frozen=True):
    percent: int


register_value_type(Percent)


class Report(Message):
    title: str
    pages: int

    @classmethod
    def tokens_to_message(cls, tokens: Iterable[Any], /, **values: object) -> "Report":
        texts = [str(token) for token in tokens]
        return cls(title="".join(texts), pages=len(texts))


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    LOG.clear()


@miniagent
async def parrot(ctx: InteractionContext, times: int = 1) -> None:
    async for promise in ctx.message_promises:
        for _ in range(times):
            ctx.reply(await promise)


@miniagent
async def fails(ctx: InteractionContext) -> None:
    ctx.reply("begins")
    raise ValueError("the agent fails")


@miniagent
async def sleeps(ctx: InteractionContext) -> None:
    LOG.append("begins")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(0.5)
        LOG.append("cleaned up")
        raise


@miniagent
async def streams(ctx: InteractionContext, tokens: int = 5, pause: float = 0.1) -> None:
    async def text(late: dict[str, Any]) -> AsyncIterator[str]:
        for number in range(tokens):
            yield f"{number} "
            await asyncio.sleep(pause)
        late["usage"] = tokens

    ctx.reply(TextMessage.promise(message_token_streamer=text, model="m"))


@miniagent
async def two_streams(ctx: InteractionContext) -> None:
    appenders = [MessageTokenAppender(), MessageTokenAppender()]
    for appender in appenders:
        appender.open()
        ctx.reply(TextMessage.promise(message_token_streamer=appender))
    for number in range(3):
        for appender in appenders:
            appender.append(f"{number}")
        await asyncio.sleep(1)
    for appender in appenders:
        appender.close()


@miniagent
async def reports(ctx: InteractionContext) -> None:
    async def tokens(late: dict[str, Any]) -> AsyncIterator[Token]:
        yield TextToken("Title")
        await asyncio.sleep(1)
        yield Percent(50)

    ctx.reply(Report.promise(message_token_streamer=tokens))


@miniagent
async def breaks_off(ctx: InteractionContext) -> None:
    async def text(late: dict[str, Any]) -> AsyncIterator[str]:
        yield "begins"
        await asyncio.sleep(1)
        raise ValueError("the stream fails")

    ctx.reply(TextMessage.promise(message_token_streamer=text))
    ctx.reply("after it")


class Tracing(Observer):
    def interaction_started(self, interaction: Any) -> None:
        interaction.trace = "00-abc-def-01"


@miniagent
async def traced(ctx: InteractionContext) -> None:
    ctx.reply(str(ctx.interaction.trace))


@miniagent
async def uses_tokens(ctx: InteractionContext) -> None:
    ctx.interaction.spend(7, 0.5)
    ctx.reply("done")


async def test_a_call_is_answered_by_the_agent_there() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(parrot))
        assert isinstance(far, AgentRef)
        assert str(await far.inquire(["one", "two"], times=2)) == "one\n\none\n\ntwo\n\ntwo"
        assert await far.ask(TextMessage("asked")) == TextMessage("asked")


async def test_an_agent_there_replies_while_messages_come() -> None:
    async with two_nodes() as (here, there, _):
        call = here.remote(there.system.spawn(parrot)).initiate_call()
        replies = aiter(call.reply_sequence(finish_call=False))
        for content in ("one", "two"):
            call.send_message(content)
            assert await (await anext(replies)) == TextMessage(content)
        call.finish()


async def test_a_call_fails_with_what_the_agent_there_fails_with() -> None:
    async with two_nodes() as (here, there, _):
        replies = here.remote(there.system.spawn(fails)).inquire()
        seen = list[str]()
        with pytest.raises(ValueError, match="the agent fails") as caught:
            async for promise in replies:
                seen.append(str(await promise))
        assert seen == ["begins"]
        assert caught.value.__notes__ == [
            "agent trace: fails",
            "/fails-1, interaction 1, failed: ValueError: the agent fails",
        ]


async def test_the_agent_trace_of_an_error_goes_on_across_nodes() -> None:
    @miniagent
    async def outer(ctx: InteractionContext, inner: AgentRef) -> None:
        ctx.reply(await inner.inquire())

    async with two_nodes() as (here, there, _):
        inner = here.remote(there.system.spawn(fails, name="named"))
        with pytest.raises(ValueError, match="the agent fails") as caught:
            await here.system.spawn(outer, inner=inner).inquire()
        assert caught.value.__notes__ == [
            "agent trace: fails <- outer",
            "/named, interaction 1, failed: ValueError: the agent fails",
        ]


async def test_arguments_that_the_agent_does_not_take_fail_the_call() -> None:
    async with two_nodes() as (here, there, _):
        with pytest.raises(AgentArgumentError):
            await here.remote(there.system.spawn(parrot)).inquire("one", often=True)


async def test_tokens_come_as_they_are_made_and_the_message_is_the_one_there() -> None:
    async with two_nodes() as (here, there, _):
        began = here.system.time()
        times, tokens = list[float](), list[str]()
        replies = here.remote(there.system.spawn(streams)).inquire()
        async for promise in replies:
            assert promise.known_beforehand == {"model": "m"}
            async for token in promise:
                times.append(round(here.system.time() - began, 1))
                tokens.append(str(token))
            message = await promise
        assert tokens == ["0 ", "1 ", "2 ", "3 ", "4 "]
        assert times == [0.0, 0.1, 0.2, 0.3, 0.4]
        assert message == TextMessage("0 1 2 3 4 ", metadata={"model": "m", "usage": 5})


async def test_two_replies_stream_at_the_same_time() -> None:
    async with two_nodes() as (here, there, _):
        began = here.system.time()
        promises = [p async for p in here.remote(there.system.spawn(two_streams)).inquire()]
        assert here.system.time() - began > 2.9
        assert [str(await p) for p in promises] == ["012", "012"]
        assert [len([t async for t in p]) for p in promises] == [3, 3]


async def test_tokens_and_messages_of_other_classes_are_what_they_are_there() -> None:
    async with two_nodes() as (here, there, _):
        (promise,) = [p async for p in here.remote(there.system.spawn(reports)).inquire()]
        assert [token async for token in promise] == [TextToken("Title"), Percent(50)]
        assert await promise == Report(title="Title", pages=2)


async def test_a_stream_that_fails_there_fails_here_after_its_tokens() -> None:
    async with two_nodes() as (here, there, _):
        first, second = [p async for p in here.remote(there.system.spawn(breaks_off)).inquire()]
        seen = list[str]()
        with pytest.raises(ValueError, match="the stream fails"):
            async for token in first:
                seen.append(str(token))
        assert seen == ["begins"]
        assert str(await second) == "after it"


async def test_a_cancel_reaches_the_call_there_and_waits_until_it_has_ended() -> None:
    async with two_nodes() as (here, there, _):
        replies = here.remote(there.system.spawn(sleeps)).inquire()
        await asyncio.sleep(0.1)
        assert LOG == ["begins"]
        await replies.aclose("not wanted")
        assert LOG == ["begins", "cleaned up"]
        assert not here.system.interactions()
        assert not there.system.interactions()
        with pytest.raises(PromiseCancelledError):
            await replies


async def test_five_hundred_streams_that_are_cancelled_leave_nothing_running() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(streams))
        calls = [far.inquire(tokens=1000) for _ in range(500)]
        await asyncio.sleep(0.35)
        began = here.system.time()
        await asyncio.gather(*(call.aclose() for call in calls))
        assert here.system.time() - began < 0.1
        assert not here.system.interactions()
        assert not there.system.interactions()
        assert here.nodes.open == there.nodes.open == 0


async def test_a_message_that_is_cut_off_by_a_cancel_is_no_failure_that_nobody_has_seen(
    log: list[dict[str, Any]],
) -> None:
    async with two_nodes() as (here, there, _):
        replies = here.remote(there.system.spawn(streams)).inquire(tokens=1000)
        message = await anext(aiter(replies))
        await asyncio.sleep(0.35)
        await replies.aclose()
        with pytest.raises(PromiseCancelledError, match="cancelled before the message was complete"):
            await message
        replies = here.remote(there.system.spawn(streams)).inquire(tokens=1000)
        await asyncio.sleep(0.35)
        await replies.aclose()
        del replies, message
        gc.collect()
        await asyncio.sleep(1)
    assert [entry for entry in log if entry["log_level"] == "error"] == []


async def test_a_deadline_ends_the_call_here_and_there() -> None:
    async with two_nodes() as (here, there, _):
        with pytest.raises(AskTimeoutError):
            await here.remote(there.system.spawn(sleeps)).inquire(timeout=1.0)
        await asyncio.sleep(1.0)
        assert LOG == ["begins", "cleaned up"]


async def test_a_slow_reader_stops_its_own_stream_and_no_other() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(streams))
        flow = Flow()
        flow.is_full = True
        current_flow.set(flow)
        slow = far.inquire(tokens=2000, pause=0.0)
        current_flow.set(None)
        await asyncio.sleep(5)
        fast = await far.inquire(tokens=2000, pause=0.0)
        assert str(fast).endswith("1999 ")
        (promise,) = slow.pieces
        assert len(promise.pieces) <= WINDOW
        flow.is_full = False
        flow.resume()
        assert str(await slow).endswith("1999 ")


async def test_a_lost_node_fails_the_calls_of_its_agents_and_breaks_their_streams_off() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(streams))
        replies = far.inquire(tokens=1000)
        await asyncio.sleep(0.35)
        (promise,) = replies.pieces

        here.nodes.lost(there.id, LossCause.OUT_OF_MEMORY)
        there.nodes.lost(here.id, LossCause.OUT_OF_MEMORY)

        with pytest.raises(ActorStoppedError) as caught:
            await replies
        assert isinstance(caught.value.__cause__, NodeLostError)
        with pytest.raises(ActorStoppedError):
            await promise
        with pytest.raises(ActorStoppedError):
            await far.inquire()
        await asyncio.sleep(1)
        assert not there.system.interactions(), "nobody waits for what the call replies"


async def test_tokens_and_cost_count_for_the_interaction_here() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(uses_tokens))
        call = far.initiate_call()
        interaction = call.interaction
        await call.reply_sequence()
        assert (interaction.tokens, interaction.cost) == (7, 0.5)


async def test_the_trace_context_of_a_call_travels() -> None:
    async with two_nodes() as (here, there, _):
        here.system.observers.attach(Tracing())
        far = here.remote(there.system.spawn(traced))
        assert str(await far.inquire()) == "00-abc-def-01"


async def test_a_call_that_ends_before_its_input_does_leaves_nothing_open_there() -> None:
    async with two_nodes() as (here, there, _):
        answered = here.remote(there.system.spawn(traced)).initiate_call()
        cancelled = here.remote(there.system.spawn(sleeps)).initiate_call()
        assert len(await answered.reply_sequence(finish_call=False)) == 1
        await asyncio.sleep(1)
        await cancelled.reply_sequence(finish_call=False).aclose()
        await asyncio.sleep(1)
        assert not there.system._open_calls


async def test_an_agent_there_is_stopped_as_any_actor() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(parrot))
        assert await far.stop() is StopReason.SHUTDOWN
        with pytest.raises(ActorStoppedError):
            await far.inquire("late")
