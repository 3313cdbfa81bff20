"""Durable actors, and lives of a system between two deaths of its process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from miniagents import Actor, ActorContext, ActorRef, ActorSystem, Message, SpawnOptions
from miniagents.journal import Letters, MemoryJournal, StoredLetter, waiting_mail
from tests.actors.actors import Add, Counter, Crash, Total

DURABLE = SpawnOptions(durable=True)


class State(msgspec.Struct):
    total: int = 0


class Account(Actor):
    """Adds, and keeps its total in the journal."""

    def __init__(self) -> None:
        self.total = 0

    def snapshot(self) -> State:
        return State(self.total)

    def restore(self, state: State) -> None:
        self.total = state.total

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        match message:
            case Add(amount):
                self.total += amount
            case Crash(text):
                self.total = -1000
                raise ValueError(text)
        return Total(value=self.total)


def counter(
    system: ActorSystem, log: list[Any] | None = None, *, gate: asyncio.Event | None = None, **options: Any
) -> ActorRef:
    """Spawn a durable counter."""
    return system.spawn(
        Counter, name="counter", options=SpawnOptions(durable=True, **options), kwargs={"log": log, "gate": gate}
    )


async def mail_in(journal: MemoryJournal, path: str = "/counter") -> list[Message]:
    """Return the messages that wait in a journal."""
    journal.open()
    return [message async for _, message in waiting_mail(journal, path)]


async def letters_in(journal: MemoryJournal) -> tuple[StoredLetter, ...]:
    """Return the dead letters in a journal."""
    journal.open()
    return await journal.read(Letters())


async def one_life(journal: MemoryJournal, program: Callable[[ActorSystem], Awaitable[Any]]) -> bool:
    """Run a program until it has ended, or until its process dies at a write of the journal.

    Returns:
        Whether it has ended.
    """
    life = asyncio.create_task(_live(journal, program))
    while not life.done() and not journal.is_dead:  # noqa: ASYNC110 - a dead journal tells nobody
        await asyncio.sleep(0.001)
    if not journal.is_dead:
        await life
        return True
    life.cancel()
    await asyncio.wait([life])
    return False


async def _live(journal: MemoryJournal, program: Callable[[ActorSystem], Awaitable[Any]]) -> None:
    async with ActorSystem(journal=journal) as system:
        await program(system)
