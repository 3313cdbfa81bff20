"""Watching: one `Terminated` for each watch, and what a bounded mailbox makes of it."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    Mailbox,
    Message,
    SpawnOptions,
    StopReason,
    Terminated,
)
from tests.actors.actors import Counter, turns


class Watch(Message):
    ref: ActorRef


class Unwatch(Message):
    ref: ActorRef


class Watcher(Actor):
    def __init__(self, log: list[Any], gate: asyncio.Event | None = None) -> None:
        self.log = log
        self.gate = gate

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        match message:
            case Terminated(ref, reason):
                self.log.append((ref.name, reason))
            case Watch(ref):
                ctx.watch(ref)
            case Unwatch(ref):
                if self.gate is not None:
                    await self.gate.wait()
                ctx.unwatch(ref)
            case _:
                return ctx.unhandled(message)
        return None


@pytest.mark.parametrize("alive", [True, False], ids=["alive at first", "dead from the start"])
async def test_who_watches_a_dead_actor_again_is_told_again(alive: bool) -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        watched, watcher = system.spawn(Counter, name="watched"), system.spawn(Watcher, log=log)
        if alive:
            await watcher.ask(Watch(watched))
        await watched.stop()
        for told in range(1, 4):
            await watcher.ask(Watch(watched))
            await turns()
            assert log == [("watched", StopReason.SHUTDOWN)] * (told + alive)


async def test_who_watches_a_living_actor_twice_is_told_once() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        watched, watcher = system.spawn(Counter, name="watched"), system.spawn(Watcher, log=log)
        await watcher.ask(Watch(watched))
        await watcher.ask(Watch(watched))
        await watched.stop()
        await turns()
    assert log == [("watched", StopReason.SHUTDOWN)]


async def test_who_watches_again_after_unwatch_is_told_once() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        watched, watcher = system.spawn(Counter, name="watched"), system.spawn(Watcher, log=log)
        for message in (Watch(watched), Unwatch(watched), Watch(watched)):
            await watcher.ask(message)
        await watched.stop()
        await turns()
    assert log == [("watched", StopReason.SHUTDOWN)]


async def test_unwatch_gives_the_place_of_a_waiting_terminated_to_the_next_sender() -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        watched = system.spawn(Counter)
        watcher = system.spawn(Watcher, log=log, gate=gate, options=SpawnOptions(mailbox=Mailbox(1)))
        await watcher.ask(Watch(watched))
        watcher.tell(Unwatch(watched))
        await turns()
        await watched.stop()
        sending = asyncio.create_task(watcher.send(Watch(watcher)))
        await turns()
        assert not sending.done()
        gate.set()
        await asyncio.wait_for(sending, 1)
        await turns()
        assert system.tree(watcher.path).mailbox_depth == 0
    assert log == []
