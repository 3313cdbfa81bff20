"""Calls in mailboxes and under deadlines: each has exactly one ending, and what runs on is abandoned and reported."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    InteractionContext,
    Mailbox,
    MiniAgents,
    SpawnOptions,
    TextMessage,
    miniagent,
)
from miniagents.errors import AskTimeoutError, HandlerTimeoutError, PromiseCancelledError
from tests.actors.actors import Counter, Hold, turns


@miniagent
async def tidy(ctx: InteractionContext) -> None:
    """Cleans up for 6 seconds."""
    try:
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(6)
        ctx.reply("too late")


@miniagent
async def stubborn(ctx: InteractionContext, until: asyncio.Event, **_: Any) -> None:
    """Swallows its cancellation until it is let go."""
    while not until.is_set():
        try:
            await until.wait()
        except asyncio.CancelledError:
            pass
    ctx.reply("too late")


@miniagent
async def sleeps(ctx: InteractionContext) -> None:
    await asyncio.sleep(1000)


def clock() -> float:
    return asyncio.get_running_loop().time()


async def read(replies: Any) -> list[str]:
    seen = []
    replay = replies.__aiter__()
    while True:
        try:
            seen.append(str(await (await replay.__anext__())))
        except StopAsyncIteration:
            return seen
        except Exception as error:
            seen.append(type(error).__name__)


async def test_a_caller_hears_of_the_deadline_when_it_passes_and_not_when_the_clean_up_has_ended() -> None:
    async with MiniAgents() as system:
        began = clock()
        replies = tidy.inquire(timeout=1)
        reader = asyncio.create_task(read(replies))
        with pytest.raises(AskTimeoutError):
            await replies

        assert clock() - began == pytest.approx(1)
        assert await reader == ["AskTimeoutError"]
        (one,) = system.interactions()
        assert one.abandoned
        assert "in tidy" in one.stack

    assert clock() - began == pytest.approx(7)
    assert await read(replies) == ["AskTimeoutError"]  # what was replied later is thrown away


async def test_one_that_swallows_its_cancellation_holds_no_caller_and_is_reported_once_after_its_grace(
    log: list[Any],
) -> None:
    until = asyncio.Event()

    @miniagent
    async def caller(ctx: InteractionContext) -> None:
        ctx.reply(await stubborn.fork(non_freezable_kwargs={"until": until}).inquire())

    async with MiniAgents() as system:
        began = clock()
        with pytest.raises(AskTimeoutError, match="caller"):
            await caller.inquire(timeout=1)
        assert clock() - began == pytest.approx(1)
        await turns()
        (one,) = system.interactions()
        assert one.path.startswith("/agents/stubborn")
        assert one.abandoned
        assert log == []

        await asyncio.sleep(100)
        (said,) = log
        assert said["event"] == "call.runs_on"
        assert (said["actor"], said["interaction"]) == (one.path, one.id)
        assert "in stubborn" in said["stack"]
        until.set()


async def test_a_class_agent_goes_on_after_the_deadline_and_its_caller_does_not() -> None:
    until = asyncio.Event()

    @miniagent
    class Slow:
        async def __call__(self, ctx: InteractionContext) -> None:
            await until.wait()
            ctx.reply("too late")

    async with MiniAgents() as system:
        replies = Slow.inquire(timeout=1)  # type: ignore[attr-defined]
        with pytest.raises(AskTimeoutError):
            await replies
        (one,) = system.interactions()
        assert one.abandoned
        until.set()
        await turns()
        assert system.interactions() == ()
        assert await read(replies) == ["AskTimeoutError"]
        assert str(await Slow.inquire()) == "too late"  # type: ignore[attr-defined]


async def test_what_was_replied_before_the_deadline_is_there_and_what_comes_after_is_not() -> None:
    @miniagent
    async def drips(ctx: InteractionContext) -> None:
        ctx.reply("in time")
        try:
            await asyncio.sleep(1000)
        finally:
            ctx.reply("at the deadline")
            await asyncio.sleep(1)
            ctx.reply([TextMessage("too late")])

    async with MiniAgents():
        replies = drips.inquire(timeout=1)
        assert await read(replies) == ["in time", "AskTimeoutError"]
        await asyncio.sleep(2)
        assert await read(replies) == ["in time", "AskTimeoutError"]


@pytest.mark.parametrize("how", ["cancel", "hang", "cancelled above"])
async def test_after_its_grace_nobody_waits_for_one_that_swallows_its_cancellation(how: str, log: list[Any]) -> None:
    until = asyncio.Event()
    options = SpawnOptions(handler_timeout=1.0) if how == "hang" else None
    agent = stubborn.fork(options=options, non_freezable_kwargs={"until": until})

    @miniagent
    async def waits(ctx: InteractionContext) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ctx.reply(await inner)

    async with MiniAgents() as system:
        if how == "cancelled above":
            inner = agent.inquire()
        replies = waits.inquire() if how == "cancelled above" else agent.inquire()
        await turns()
        began = clock()
        if how == "cancelled above":
            for one in system.interactions():
                one.begin_cancel("enough")
        elif how == "cancel":
            system.interactions()[0].begin_cancel("enough")
        with pytest.raises(HandlerTimeoutError if how == "hang" else PromiseCancelledError):
            await replies

        assert clock() - began == pytest.approx(6 if how == "hang" else 5)
        assert [entry["event"] for entry in log if "runs_on" in entry["event"]] != []
        until.set()


async def test_cancel_waits_for_background_work_too_and_reports_what_runs_on(log: list[Any]) -> None:
    until = asyncio.Event()

    async def stays() -> None:
        while not until.is_set():
            try:
                await until.wait()
            except asyncio.CancelledError:
                pass

    @miniagent
    async def leaves(ctx: InteractionContext) -> None:
        ctx.interaction.start_soon(stays())
        await asyncio.sleep(1000)

    async with MiniAgents() as system:
        replies = leaves.inquire()
        await turns()
        (one,) = system.interactions()
        began = clock()

        abandoned = await one.cancel("enough", grace=3)
        waited = clock() - began
        until.set()

    assert abandoned == (one,)
    assert waited == pytest.approx(3)
    assert "stays" in log[-1]["stack"]
    with pytest.raises(PromiseCancelledError, match="enough"):
        await replies


@pytest.mark.parametrize("what", ["calls", "asks", "background work", "open calls", "lazy calls"])
async def test_what_an_interaction_has_started_ends_in_the_order_in_which_it_was_started(what: str) -> None:
    ended: list[int] = []
    kept: list[Any] = []

    def note(promise: Any, number: int) -> None:
        kept.append(promise)
        promise.add_done_callback(lambda _: ended.append(number))

    async def work(number: int) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(number)

    @miniagent
    async def starts(ctx: InteractionContext) -> None:
        for number in range(50):
            match what:
                case "calls":
                    note(sleeps.inquire(), number)
                case "asks":
                    note(ctx.system.spawn(Counter, gate=asyncio.Event()).ask(Hold()), number)
                case "background work":
                    ctx.interaction.start_soon(work(number))
                case "open calls":
                    call = sleeps.initiate_call()
                    note(call._input.sequence_promise, number)
                    kept.append(call)
                case "lazy calls":
                    note(sleeps.inquire(start_soon=False), number)
        await asyncio.sleep(1000)

    with pytest.raises(ZeroDivisionError):
        async with MiniAgents() as system:
            replies = starts.inquire()
            await turns()
            if what != "lazy calls":
                replies.cancel("enough")
                await asyncio.sleep(100)
            raise ZeroDivisionError

    assert ended == list(range(50))
    assert system.interactions() == ()


# In a mailbox


@pytest.mark.parametrize("how", ["cancelled", "expired"])
async def test_calls_that_end_while_they_wait_are_counted_once(how: str) -> None:
    gate = asyncio.Event()

    @miniagent
    class Serial:
        async def __call__(self, ctx: InteractionContext) -> None:
            await gate.wait()

    async with MiniAgents() as system:
        ref = system.spawn(Serial)
        ref.inquire()
        await turns()
        timeout = 1 if how == "expired" else None
        ended = [ref.inquire(timeout=timeout) for _ in range(40)]
        ref.inquire()
        if how == "cancelled":
            for replies in ended:
                replies.cancel()
        else:
            await asyncio.gather(*ended, return_exceptions=True)

        assert ref._cell.depth == system.tree(ref.path).mailbox_depth == 1
        gate.set()
        await turns()
        assert ref._cell.depth == system.tree(ref.path).mailbox_depth == 0


@pytest.mark.parametrize("how", ["cancelled", "expired"])
async def test_a_call_that_ends_while_it_waits_for_room_leaves_it_to_the_next(how: str) -> None:
    gate = asyncio.Event()

    @miniagent
    class Serial:
        async def __call__(self, ctx: InteractionContext) -> None:
            await gate.wait()
            ctx.reply("served")

    async with MiniAgents() as system:
        ref = system.spawn(Serial, name="serial", options=SpawnOptions(mailbox=Mailbox(capacity=1)))
        first = ref.inquire()
        await turns()
        second = ref.inquire()
        waits = ref.inquire(timeout=1 if how == "expired" else None)
        last = ref.inquire()
        await turns()
        if how == "cancelled":
            waits.cancel()
        with pytest.raises(PromiseCancelledError if how == "cancelled" else AskTimeoutError):
            await waits

        assert ref._cell.depth == 1
        gate.set()
        async with asyncio.timeout(10):
            assert [str(await replies) for replies in (first, second, last)] == ["served"] * 3
        assert ref._cell.depth == 0
