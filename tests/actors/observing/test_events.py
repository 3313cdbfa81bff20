"""The events of a system."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    Event,
    EventKind,
    InteractionContext,
    Message,
    MiniAgents,
    StopReason,
    miniagent,
)
from miniagents.actors.observing.events import Subscription
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


async def test_an_event_names_the_instance_that_it_happened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActorSystem, "node_name", "b")
    monkeypatch.setattr(ActorSystem, "node_epoch", 3)
    async with ActorSystem() as system:
        with system.events.subscribe() as events:
            ref = system.spawn(Counter, name="c")
            with pytest.raises(ValueError, match="crash"):
                await ref.ask(Crash())
            await ref.ask(Read())
            await ref.stop()
        told = [(event.kind, event.restarts) async for event in told_of(events, ref.uid)]
    kinds = EventKind
    assert told == [(kinds.SPAWN, 0), (kinds.CRASH, 0), (kinds.RESTART, 1), (kinds.STOP, 1)]


async def test_the_events_of_a_call_name_its_agent() -> None:
    @miniagent
    async def fails(ctx: InteractionContext) -> None:
        raise ValueError("no")

    async with MiniAgents() as system:
        with system.events.subscribe() as events:
            ref = system.spawn(fails, name="fails")
            with pytest.raises(ValueError, match="no"):
                await ref.inquire("Hi")
        told = [event.kind.value async for event in told_of(events, ref.uid, node="", epoch=0)]
    assert told == ["spawn", "interaction_started", "crash", "interaction_ended"]


async def told_of(events: Subscription, uid: int, *, node: str = "b", epoch: int = 3) -> AsyncIterator[Event]:
    """The events, which all are of one actor on one node."""
    async for event in events:
        assert (event.uid, event.node, event.epoch) == (uid, node, epoch)
        yield event


async def test_an_event_of_something_that_has_no_actor_here_names_none() -> None:
    async with ActorSystem() as system:
        with system.events.subscribe() as events:
            system.events.publish(EventKind.SLOWED, "/somebody")
        (event,) = [event async for event in events]
        assert (event.uid, event.restarts) == (None, None)


async def test_the_event_of_a_deadlock_names_the_cycle() -> None:
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


async def test_the_event_of_an_error_has_the_agents_that_it_came_through() -> None:
    @miniagent
    async def fails(ctx: InteractionContext) -> None:
        raise LookupError("nothing there")

    @miniagent
    async def asks(ctx: InteractionContext) -> None:
        await fails.inquire()

    async with MiniAgents() as system:
        with system.events.subscribe() as events:
            with pytest.raises(LookupError):
                await asks.inquire()
            with pytest.raises(ValueError, match="crash"):
                await system.spawn(Counter, name="counter").ask(Crash("crash"))
        told = [(event.path, event.agent_trace) async for event in events if event.kind is EventKind.CRASH]
    assert told == [
        ("/agents/fails", ("fails", "asks")),
        ("/agents/asks", ("fails", "asks")),
        ("/counter", ()),
    ]


async def test_an_error_whose_own_code_fails_is_told_of_and_the_actor_goes_on() -> None:
    class Broken(Exception):
        @property
        def agent_trace(self) -> tuple[str, ...]:
            raise RuntimeError("code of the user")

        def __str__(self) -> str:
            raise KeyError("no text")

    class Breaks(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            if isinstance(message, Crash):
                raise Broken

    async with ActorSystem() as system:
        with system.events.subscribe() as events:
            ref = system.spawn(Breaks, name="breaks")
            with pytest.raises(Broken):
                await ref.ask(Crash())
            await ref.ask(Read())
        told = {event.kind: event async for event in events}
        assert system.tree("/breaks").last_error == "Broken: its __str__ has raised KeyError"
    assert told[EventKind.CRASH].error == "its __str__ has raised KeyError"
    assert told[EventKind.CRASH].agent_trace == ()
    assert told[EventKind.RESTART].reason == "Broken('its __str__ has raised KeyError')"
