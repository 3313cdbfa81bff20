"""Timers: what becomes of their messages when they are cancelled, dropped, or find no room."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    DeadLetterReason,
    Mailbox,
    Message,
    Overflow,
    RetryPolicy,
    SpawnOptions,
)
from miniagents.errors import InvalidOptionError, NotSendableError
from tests.actors.actors import Crash, Hold, turns


class Tick(Message):
    what: str = "tick"


class Clock(Actor):
    """Starts the timers that it is told to, in its first instance, and works as long as its gate is closed."""

    def __init__(self, log: list[Any], gate: asyncio.Event, start: Any = None) -> None:
        self.log = log
        self.gate = gate
        self.start = start

    async def on_start(self, ctx: ActorContext) -> None:
        self.generation = sum(entry == "start" for entry in self.log) + 1
        self.log.append("start")
        if self.start is not None and self.generation == 1:
            self.timers = self.start(ctx)

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        match message:
            case Hold():
                await self.gate.wait()
            case Crash():
                await self.gate.wait()
                raise ValueError("crash")
            case Tick(what):
                self.log.append((self.generation, what))
                if what == "crash":
                    raise ValueError("tick")
            case Cancel():
                await self.gate.wait()
                for timer in self.timers:
                    timer.cancel()
                    timer.cancel()
            case _:
                return ctx.unhandled(message)
        return None


class Cancel(Message):
    pass


def ticks(log: list[Any]) -> list[Any]:
    return [entry for entry in log if entry != "start"]


def both(ctx: ActorContext) -> list[Any]:
    return [ctx.schedule(1.0, Tick("once")), ctx.schedule_every(1.0, Tick("again"))]


@pytest.mark.parametrize("priority", [None, lambda message: 0.0], ids=["first in, first out", "priority"])
async def test_a_tick_that_waits_when_its_timer_is_cancelled_is_thrown_away(priority: Any) -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        mailbox = Mailbox(priority=priority)
        ref = system.spawn(Clock, log=log, gate=gate, start=both, options=SpawnOptions(mailbox=mailbox))
        ref.tell(Cancel())
        await asyncio.sleep(1.5)
        assert system.tree(ref.path).mailbox_depth == 2
        gate.set()
        await asyncio.sleep(5)
        assert system.tree(ref.path).mailbox_depth == 0
    assert ticks(log) == []
    assert system.dead_letters.total == 0


async def test_a_tick_of_the_instance_before_does_not_come_to_the_fresh_one() -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        ref = system.spawn(Clock, log=log, gate=gate, start=both)
        ref.tell(Crash())
        await asyncio.sleep(1.5)
        ref.tell(Tick("told"))
        gate.set()
        await asyncio.sleep(5)
    assert ticks(log) == [(2, "told")]


async def test_of_many_timers_that_have_come_only_what_was_handled_has_arrived_before_a_restart() -> None:
    def many(ctx: ActorContext) -> None:
        for n in range(6):
            ctx.schedule(1.0 + n, Tick(str(n)))

    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        ref = system.spawn(Clock, log=log, gate=gate, start=many)
        await asyncio.sleep(2.5)
        ref.tell(Crash())
        await asyncio.sleep(2)
        gate.set()
        await asyncio.sleep(10)
    assert ticks(log) == [(1, "0"), (1, "1")]


async def test_a_tick_that_crashed_its_actor_is_tried_again_where_messages_are() -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        options = SpawnOptions(retry=RetryPolicy(attempts=2))
        system.spawn(
            Clock, log=log, gate=gate, start=lambda ctx: [ctx.schedule_every(1.0, Tick("crash"))], options=options
        )
        await asyncio.sleep(5)
    assert ticks(log) == [(1, "crash"), (2, "crash")]


@pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST, Overflow.REJECT])
async def test_a_periodic_timer_goes_on_after_its_tick_was_dropped(overflow: Overflow) -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        mailbox = Mailbox(1, overflow)
        ref = system.spawn(
            Clock,
            log=log,
            gate=gate,
            start=lambda ctx: [ctx.schedule_every(1.0, Tick())],
            options=SpawnOptions(mailbox=mailbox),
        )
        await ref.started()
        ref.tell(Hold())
        await turns()
        if overflow is Overflow.DROP_OLDEST:
            await asyncio.sleep(1.5)
            ref.tell(Tick("told"))
        else:
            ref.tell(Tick("told"))
            await asyncio.sleep(1.5)
        assert system.dead_letters.total == 1
        gate.set()
        await asyncio.sleep(3)
    assert ticks(log) == [(1, "told"), *[(1, "tick")] * 3]


async def test_under_backpressure_a_tick_waits_for_room_and_is_cancelled_there() -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        ref = system.spawn(Clock, log=log, gate=gate, start=both, options=SpawnOptions(mailbox=Mailbox(1)))
        await ref.started()
        ref.tell(Hold())
        await turns()
        ref.tell(Cancel())
        await asyncio.sleep(3.5)
        assert system.tree(ref.path).mailbox_depth == 1
        gate.set()
        await asyncio.sleep(3)
    # One tick got the place of `Cancel` when that was taken, and was thrown away with its timer.
    assert ticks(log) == []
    assert system.dead_letters.total == 0


async def test_under_backpressure_every_tick_comes_when_there_is_room() -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        ref = system.spawn(Clock, log=log, gate=gate, start=both, options=SpawnOptions(mailbox=Mailbox(1)))
        await ref.started()
        ref.tell(Hold())
        await turns()
        ref.tell(Tick("told"))
        await asyncio.sleep(3.5)
        gate.set()
        await turns()
        assert sorted(ticks(log)) == [(1, "again"), (1, "once"), (1, "told")]
        await asyncio.sleep(1)
    assert ticks(log).count((1, "again")) == 2


async def test_a_tick_that_has_waited_for_room_does_not_come_to_the_next_instance() -> None:
    gate, log = asyncio.Event(), list[Any]()

    def two(ctx: ActorContext) -> None:
        ctx.schedule(1, Tick("first"))
        ctx.schedule(2, Tick("second"))

    class Slow(Clock):
        async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
            if isinstance(message, Crash):
                await asyncio.sleep(1)  # meanwhile a tick gets the place of this message
            return await super().receive(message, ctx)

    async with ActorSystem() as system:
        ref = system.spawn(Slow, log=log, gate=gate, start=two, options=SpawnOptions(mailbox=Mailbox(1)))
        await ref.started()
        ref.tell(Hold())
        await turns()
        ref.tell(Crash())
        await asyncio.sleep(3)
        gate.set()
        await asyncio.sleep(0.5)
        assert system.tree(ref.path).mailbox_depth == 1
        await asyncio.sleep(3)
    assert log == ["start", "start"]


async def test_what_is_piped_to_a_full_mailbox_waits_for_room() -> None:
    gate, log = asyncio.Event(), list[Any]()

    def pipe(ctx: ActorContext) -> None:
        for n in range(3):
            ctx.pipe_to_self(asyncio.sleep(1 + n / 10, n), lambda result: Tick(str(result)))

    async with ActorSystem() as system:
        ref = system.spawn(Clock, log=log, gate=gate, start=pipe, options=SpawnOptions(mailbox=Mailbox(1)))
        await ref.started()
        ref.tell(Hold())
        await asyncio.sleep(2)
        assert system.tree(ref.path).mailbox_depth == 1
        gate.set()
        await turns()
    assert ticks(log) == [(1, "0"), (1, "1"), (1, "2")]


async def test_what_is_piped_to_a_mailbox_that_rejects_it_is_a_dead_letter() -> None:
    gate, log = asyncio.Event(), list[Any]()

    def pipe(ctx: ActorContext) -> None:
        for n in range(3):
            ctx.pipe_to_self(asyncio.sleep(1 + n / 10, n), lambda result: Tick(str(result)))

    async with ActorSystem() as system:
        options = SpawnOptions(mailbox=Mailbox(1, Overflow.REJECT))
        ref = system.spawn(Clock, log=log, gate=gate, start=pipe, options=options)
        await ref.started()
        ref.tell(Hold())
        await asyncio.sleep(2)
        gate.set()
    assert ticks(log) == [(1, "0")]
    assert system.dead_letters.counts == {DeadLetterReason.REJECTED: 2}


async def test_ticks_of_an_actor_that_ends_after_the_message_in_hand_are_no_dead_letters() -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        ref = system.spawn(Clock, log=log, gate=gate, start=both)
        await ref.started()
        ref.tell(Hold())
        await turns()
        end = ref.stop()
        await asyncio.sleep(2.5)
        gate.set()
        await end
    assert ticks(log) == []
    assert system.dead_letters.total == 0


async def test_a_timer_takes_messages_and_more_than_0_seconds() -> None:
    class Wrong(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            with pytest.raises(NotSendableError, match=r"Tick\(\)"):
                ctx.schedule(1.0, Tick)  # type: ignore[arg-type]
            with pytest.raises(InvalidOptionError, match="more than 0 seconds"):
                ctx.schedule_every(0.0, Tick())

    async with ActorSystem() as system:
        await system.spawn(Wrong).ask(Tick())
