"""The journal of MiniAgents: envelopes that are accepted and waited for, and envelopes that are read again."""

import asyncio
import functools
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any

from common import clock

from miniagents import Actor, ActorContext, ActorSystem, Message, SpawnOptions, TextMessage
from miniagents.journal import Accept, SqliteJournal, encoded, kind_of, waiting_mail

PENDING = 100_000
COUNTER = "/counter"


def message(number: int) -> TextMessage:
    return TextMessage(f"a line of an order, number {number}")


def envelope(number: int) -> Accept:
    one = message(number)
    return Accept(number, COUNTER, encoded(one, 10_000), kind_of(one))


async def time_of(senders: int, send_all: Callable[[], Coroutine[Any, Any, None]]) -> Any:
    """The time until all senders, which begin at once, have sent all of theirs."""
    t = clock()
    async with asyncio.TaskGroup() as group:
        for _ in range(senders):
            group.create_task(send_all())
    return clock() - t


async def accept(senders: int, n: int) -> tuple[Any, int]:
    with tempfile.TemporaryDirectory() as folder:
        journal = SqliteJournal(f"{folder}/journal.db")
        journal.open()

        async def send_all() -> None:
            for _ in range(each):
                await journal.write(envelope(journal.next_id()))

        each = max(1, n // senders)
        t = await time_of(senders, send_all)
        await journal.close()
        return t, each * senders


class Busy(Actor):
    """Keeps its first message in hand, so that all others wait: what is measured is the sending alone."""

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        await asyncio.Event().wait()


async def send(senders: int, durable: bool, n: int) -> tuple[Any, int]:
    """`send` to an actor: a durable one, whose journal is on disk, or one in memory."""
    each = max(1, n // senders)
    with tempfile.TemporaryDirectory() as folder:
        async with ActorSystem(journal=SqliteJournal(f"{folder}/journal.db") if durable else None) as system:
            ref = system.spawn(Busy, name="counter", options=SpawnOptions(durable=durable))
            await ref.send(message(0))

            async def send_all() -> None:
                for number in range(each):
                    await ref.send(message(number))

            t = await time_of(senders, send_all)
            await ref.kill()
        return t, each * senders


async def fill(path: str, pending: int) -> None:
    """Make a journal in which so many envelopes wait."""
    journal = SqliteJournal(path, synchronous="NORMAL")
    journal.open()
    for _ in range(0, pending, 1000):
        await journal.write(*(envelope(journal.next_id()) for _ in range(1000)))
    await journal.close()


async def recover(n: int) -> tuple[Any, int]:
    """One operation is all of the pending envelopes."""
    pending = min(PENDING, n * PENDING)
    with tempfile.TemporaryDirectory() as folder:
        await fill(f"{folder}/journal.db", pending)
        journal = SqliteJournal(f"{folder}/journal.db")
        t = clock()
        journal.open()
        seen = 0
        async for _ in waiting_mail(journal, COUNTER, page=10_000):
            seen += 1
        t = clock() - t
        assert seen == pending
        await journal.close()
        return t, 1


class First(Actor):
    """Says when it has its first message, and keeps that."""

    def __init__(self, has_begun: asyncio.Event) -> None:
        self.has_begun = has_begun

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        self.has_begun.set()
        await asyncio.Event().wait()


async def recover_actor(n: int) -> tuple[Any, int]:
    """One operation is the recovery of an actor with all of the pending messages."""
    pending = min(PENDING, n * PENDING)
    with tempfile.TemporaryDirectory() as folder:
        await fill(f"{folder}/journal.db", pending)
        has_begun = asyncio.Event()
        t = clock()
        async with ActorSystem(journal=SqliteJournal(f"{folder}/journal.db")) as system:
            ref = system.spawn(First, has_begun=has_begun, name="counter", options=SpawnOptions(durable=True))
            await has_begun.wait()
            t = clock() - t
            await ref.kill()
        return t, 1


WORKLOADS = dict(
    journal_accept=functools.partial(accept, 1),
    journal_accept_64=functools.partial(accept, 64),
    journal_accept_1000=functools.partial(accept, 1000),
    journal_recovery=recover,
    durable_recovery=recover_actor,
    durable_send=functools.partial(send, 1, True),
    durable_send_64=functools.partial(send, 64, True),
    durable_send_1000=functools.partial(send, 1000, True),
    memory_send_1000=functools.partial(send, 1000, False),
)
DEFAULTS = dict(
    journal_accept=500,
    journal_accept_64=20_000,
    journal_accept_1000=100_000,
    journal_recovery=1,
    durable_recovery=1,
    durable_send=500,
    durable_send_64=20_000,
    durable_send_1000=100_000,
    memory_send_1000=100_000,
)
