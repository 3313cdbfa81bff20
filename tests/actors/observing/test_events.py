"""The events of a system."""

import asyncio
import gc
import weakref

import pytest

from miniagents import Actor, ActorContext, ActorSystem, EventKind, Message, StopReason
from miniagents.errors import DeadlockError
from tests.actors.actors import Counter, Crash, Read, turns


class Marker:
    """What a frame holds."""


async def test_an_event_tells_of_an_exception_as_text_and_keeps_none_of_its_frames() -> None:
    markers: list[weakref.ref[Marker]] = []

    class Holds(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            marker = Marker()
            markers.append(weakref.ref(marker))
            raise LookupError("nothing there")

    async with ActorSystem() as system:
        with system.events.subscribe() as events:
            ref = system.spawn(Holds, name="holds")
            for _ in range(3):
                with pytest.raises(LookupError):
                    await ref.ask(Read())
            await asyncio.sleep(10)
            await ref.stop()
        gc.collect()
        assert [marker() for marker in markers] == [None] * 3
        told = [event async for event in events]
    crashes = [event for event in told if event.kind is EventKind.CRASH]
    restarts = [event for event in told if event.kind is EventKind.RESTART]
    assert [(event.error, event.error_type) for event in crashes] == [("nothing there", "LookupError")] * 3
    assert [event.reason for event in restarts] == ["LookupError('nothing there')"] * 3
    assert [event.reason for event in told if event.kind is EventKind.STOP] == [StopReason.SHUTDOWN]


async def test_the_event_of_a_deadlock_names_the_ring() -> None:
    class Narcissus(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            await ctx.self.ask(Read())

    async with ActorSystem() as system:
        with system.events.subscribe() as events, pytest.raises(DeadlockError):
            await system.spawn(Narcissus, name="n").ask(Read())
        (event,) = [event async for event in events if event.kind is EventKind.DEADLOCK]
        assert (event.ring, event.error_type) == (("/n", "/n"), "DeadlockError")


async def test_an_event_of_something_that_is_no_failure_has_no_error() -> None:
    async with ActorSystem() as system:
        with system.events.subscribe() as events:
            system.spawn(Counter).tell(Crash())
            await turns()
        spawned = await anext(events)
        assert (spawned.kind, spawned.error, spawned.error_type, spawned.ring) == (EventKind.SPAWN, None, None, ())
