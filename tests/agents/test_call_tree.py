"""The tree of calls: cancelling and deadlines go down, and nothing below is left."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    InteractionContext,
    Message,
    MiniAgents,
    TextMessage,
    miniagent,
)
from miniagents.errors import (
    AskTimeoutError,
    PromiseCancelledError,
)
from tests.actors.actors import turns
from tests.agents.agents import Counter, echo, sleeper


async def test_a_timeout_cancels_the_interaction_and_everything_below_it() -> None:
    log: list[str] = []

    @miniagent
    async def outer(ctx: InteractionContext) -> None:
        ctx.reply(await inner.inquire())

    inner = sleeper.fork(non_freezable_kwargs={"log": log})
    async with MiniAgents() as system:
        with pytest.raises(AskTimeoutError):
            await outer.inquire(timeout=2.0)
        await turns()
        assert log == ["cancelled"]
        assert system.interactions() == ()
        assert system.tree("/agents/outer").restarts == 0


async def test_a_deadline_interrupts_a_handler_that_works_for_a_function_agent_and_not_one_that_was_asked_with_it() -> (
    None
):
    log: list[str] = []

    class Slow(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            try:
                await asyncio.sleep(10)
                log.append("done")
            except asyncio.CancelledError:
                log.append("interrupted")
                raise

    @miniagent
    async def asks(ctx: InteractionContext, slow: ActorRef) -> None:
        await slow.ask(TextMessage("work"))

    async with MiniAgents() as system:
        slow = system.spawn(Slow)
        with pytest.raises(AskTimeoutError):
            await asks.inquire(slow=slow, timeout=2.0)
        await turns()
        assert log == ["interrupted"]

        with pytest.raises(AskTimeoutError):
            await slow.ask(TextMessage("work"), timeout=2.0)
        await asyncio.sleep(20)
        assert log == ["interrupted", "done"]
        assert system.tree(slow.path).restarts == 0


async def test_cancelling_a_promise_cancels_everything_below_however_deep() -> None:
    log: list[str] = []
    bottom = sleeper.fork(non_freezable_kwargs={"log": log})

    @miniagent
    async def chain(ctx: InteractionContext, depth: int) -> None:
        ctx.reply(await (chain.inquire(depth=depth - 1) if depth else bottom.inquire()))

    async with MiniAgents() as system:
        promise = chain.inquire(depth=10)
        await turns(100)
        assert len(system.interactions()) == 12
        await promise.aclose("enough")
        assert log == ["cancelled"]
        assert system.interactions() == ()
        with pytest.raises(PromiseCancelledError, match="enough"):
            await promise


async def endless(log: list[str]) -> AsyncIterator[str]:
    try:
        while True:
            yield "word "
            await asyncio.sleep(1.0)
    finally:
        log.append("closed")


@miniagent
async def talker(ctx: InteractionContext, log: list[str], as_tokens: bool) -> None:
    """Hands its stream on, and returns."""
    ctx.reply(TextMessage.promise(message_token_streamer=lambda _: endless(log)) if as_tokens else endless(log))


@miniagent
async def passing_on(ctx: InteractionContext, agent: Any) -> None:
    ctx.reply(agent.inquire())


@pytest.mark.parametrize("as_tokens", [False, True], ids=["messages", "tokens"])
@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("how", ["cancel", "aclose", "deadline", "interaction"])
async def test_a_stream_that_an_agent_left_flowing_is_closed(how: str, depth: int, as_tokens: bool) -> None:
    log: list[str] = []
    agent: Any = talker.fork(as_tokens=as_tokens, non_freezable_kwargs={"log": log})
    for _ in range(depth):
        agent = passing_on.fork(non_freezable_kwargs={"agent": agent})
    async with MiniAgents():
        call = agent.initiate_call(timeout=60.0 if how == "deadline" else None)
        replies = call.reply_sequence()
        async for message in replies:
            async for _ in message:
                break
            break
        await turns()

        match how:
            case "cancel":
                replies.cancel("enough")
                await turns()
            case "aclose":
                await replies.aclose("enough")
            case "interaction":
                await call.interaction.cancel("enough")
            case "deadline":
                await asyncio.sleep(61.0)

        assert log == ["closed"]
        with pytest.raises(AskTimeoutError if how == "deadline" else PromiseCancelledError):
            await replies


async def test_a_call_above_that_is_cancelled_ends_the_streams_that_agents_below_left_flowing() -> None:
    log: list[str] = []
    agent = talker.fork(as_tokens=False, non_freezable_kwargs={"log": log})

    @miniagent
    async def reader(ctx: InteractionContext) -> None:
        await agent.inquire()

    async with MiniAgents():
        replies = reader.inquire()
        await turns()
        await replies.aclose("enough")
        assert log == ["closed"]


@pytest.mark.parametrize("agent", [echo, Counter], ids=["function", "class"])
async def test_nobody_waits_for_the_end_of_a_call_that_was_cancelled_before_its_first_step(agent: Any) -> None:
    async with MiniAgents() as system:
        call = agent.initiate_call()
        call.reply_sequence().cancel("enough")
        await turns()

        began = system.time()
        abandoned = await call.interaction.cancel("again")

        assert abandoned == ()
        assert system.time() == began


@pytest.mark.parametrize("agent", [echo, Counter], ids=["function", "class"])
async def test_a_call_that_is_cancelled_before_its_first_step_settles(agent: Any) -> None:
    for passes in range(6):
        async with MiniAgents() as system:
            promise = agent.inquire("x")
            await turns(passes)
            await promise.aclose("at once")
            assert promise.done()
            assert system.interactions() == ()
            assert [str(message) for message in await agent.inquire("y")] in (["echo: y"], ["1"], ["2"])


async def test_what_swallows_its_cancellation_is_reported_as_abandoned() -> None:
    @miniagent
    async def stubborn(ctx: InteractionContext) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(20)
        ctx.reply("too late")

    async with MiniAgents() as system:
        promise = stubborn.inquire()
        await turns()
        (one,) = system.interactions()
        abandoned = await one.cancel("stop", grace=5.0)
        assert abandoned == (one,)
        assert one.abandoned
        assert "stubborn" in one.stack
        with pytest.raises(PromiseCancelledError):
            await promise


async def test_a_cancelled_interaction_starts_nothing_more() -> None:
    started: list[Any] = []

    @miniagent
    async def sneaky(ctx: InteractionContext) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            try:
                echo.inquire("again")
            except PromiseCancelledError:
                started.append("refused")
            raise

    async with MiniAgents():
        promise = sneaky.inquire()
        await turns()
        await promise.aclose()
    assert started == ["refused"]


async def test_an_interaction_knows_the_calls_below_it_also_when_it_has_returned() -> None:
    @miniagent
    async def hands_on(ctx: InteractionContext) -> None:
        ctx.reply(sleeper.inquire())

    async with MiniAgents():
        call = hands_on.initiate_call()
        replies = call.reply_sequence()
        await turns()
        assert call.interaction.done()
        assert [one.agent for one in call.interaction.below] == [sleeper]
        await replies.aclose("enough")
        assert call.interaction.below == ()


async def test_nested_calls_after_an_inherited_deadline_fail_at_once() -> None:
    failed_at: list[float] = []

    @miniagent
    class Serial:
        """Its handler is not interrupted by the deadline of its caller."""

        async def __call__(self, ctx: InteractionContext) -> None:
            await asyncio.sleep(2)
            try:
                await sleeper.inquire()
            except AskTimeoutError:
                failed_at.append(ctx.system.time())
                raise

    async with MiniAgents() as system:
        began = system.time()
        with pytest.raises(AskTimeoutError):
            await Serial.inquire(timeout=1.0)  # type: ignore[attr-defined]
        assert system.time() - began == pytest.approx(1.0)
        await asyncio.sleep(5)
        assert [at - began for at in failed_at] == [pytest.approx(2.0)]
        assert system.interactions() == ()
        assert system.tree("/agents/Serial").restarts == 0


@pytest.mark.parametrize("how", ["its task", "its scope", "its timeout"])
async def test_an_agent_can_cancel_what_another_one_has_given_it(how: str, log: list[Any]) -> None:
    given: dict[str, Any] = {}

    @miniagent
    async def works(ctx: InteractionContext) -> None:
        given["its task"] = asyncio.current_task()
        try:
            with anyio.CancelScope() as given["its scope"]:
                async with asyncio.timeout(None) as given["its timeout"]:
                    await asyncio.sleep(1000)
        except (asyncio.CancelledError, TimeoutError):
            pass
        ctx.reply("cancelled")

    @miniagent
    async def cancels(ctx: InteractionContext) -> None:
        if how == "its timeout":
            given[how].reschedule(asyncio.get_running_loop().time() + 1)
            await asyncio.sleep(2)
        else:
            given[how].cancel()

    async with MiniAgents() as system:
        replies = works.inquire()
        await turns()
        await cancels.inquire()
        await turns()

        assert system.interactions() == ()
        assert str(await replies) == "cancelled"
    assert log == []


async def test_waiting_for_the_end_of_calls_is_not_held_up_by_one_that_was_cancelled_before_it_began() -> None:
    calls: list[Any] = []
    called = asyncio.Event()

    @miniagent
    async def works(ctx: InteractionContext) -> None:
        await asyncio.sleep(1000)

    @miniagent
    async def hands_on(ctx: InteractionContext) -> None:
        calls.extend((works.inquire(), works.inquire()))
        ctx.reply(calls)
        asyncio.get_running_loop().call_soon(calls[1].cancel)  # after the end of this call, before the other begins
        called.set()

    async with MiniAgents() as system:
        replies = hands_on.inquire()
        await called.wait()
        await turns()

        async with asyncio.timeout(10):
            await replies.aclose()

        assert system.interactions() == ()
