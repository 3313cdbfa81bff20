"""Senders and durable actors on a real journal whose disk or file breaks: nothing is accepted that is not on disk, and
work goes on when the cause is gone."""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from miniagents import (
    ActorContext,
    ActorRef,
    ActorSystem,
    InteractionContext,
    JournalError,
    Message,
    MiniAgents,
    TextMessage,
    miniagent,
)
from miniagents.journal import SqliteJournal
from miniagents.journal.sqlite import database as connection
from tests.actors.actors import Add, Crash, Read, Total
from tests.actors.durable.counting import DURABLE, Account
from tests.journal.sqlite.opened import bodies, on_connection, opened

pytestmark = pytest.mark.real_time


@contextlib.asynccontextmanager
async def full(journal: SqliteJournal) -> AsyncIterator[None]:
    pages = await on_connection(journal, lambda database: database.execute("PRAGMA page_count").fetchone()[0])
    await on_connection(journal, lambda database: database.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    yield
    await on_connection(journal, lambda database: database.execute("PRAGMA max_page_count = 1000000").fetchone())


@contextlib.asynccontextmanager
async def read_only(journal: SqliteJournal) -> AsyncIterator[None]:
    await on_connection(journal, lambda database: database.execute("PRAGMA query_only = ON"))
    yield
    await on_connection(journal, lambda database: database.execute("PRAGMA query_only = OFF"))


@contextlib.asynccontextmanager
async def locked(journal: SqliteJournal) -> AsyncIterator[None]:
    foreign = sqlite3.connect(journal.path, isolation_level=None)
    foreign.execute("BEGIN EXCLUSIVE")
    yield
    foreign.execute("ROLLBACK")
    foreign.close()


CAUSES: dict[str, Callable[[SqliteJournal], AbstractAsyncContextManager[None]]] = {
    "full": full,
    "read-only": read_only,
    "locked": locked,
}


@pytest.mark.parametrize("cause", CAUSES)
async def test_while_the_disk_is_broken_every_sender_is_told_and_afterwards_all_is_accepted_and_counted_once(
    cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT", 0.05)
    journal = SqliteJournal(tmp_path / "journal.db")
    async with ActorSystem(journal=journal) as system:
        account = system.spawn(Account, name="account", options=DURABLE)

        async def send(number: int) -> None:
            # Large enough that a full disk has no room for any of them.
            await account.send(Add(1), message_id=f"{number} {'x' * 50_000}")

        await asyncio.gather(*(send(number) for number in range(5)))
        assert await account.ask(Read()) == Total(value=5)
        async with CAUSES[cause](journal):
            errors = await asyncio.gather(*(send(number) for number in range(5, 25)), return_exceptions=True)
        assert {getattr(error, "reason", error) for error in errors} == {cause}
        assert await bodies(journal, "/account") == []

        await asyncio.gather(*(send(number) for number in range(25)))  # those that were accepted before, too
        assert await account.ask(Read()) == Total(value=25)

    async with ActorSystem(journal=SqliteJournal(tmp_path / "journal.db")) as system:
        account = system.spawn(Account, name="account", options=DURABLE)
        assert await account.ask(Read()) == Total(value=25)


def idle(system: ActorSystem) -> ActorRef:
    """Spawn an account that handles nothing."""
    kwargs = {"begun": asyncio.Event(), "gate": asyncio.Event()}
    return system.spawn(Gated, name="account", options=DURABLE, kwargs=kwargs)


class Gated(Account):
    """An account that adds only when it is let."""

    def __init__(self, begun: asyncio.Event, gate: asyncio.Event) -> None:
        super().__init__()
        self.begun, self.gate = begun, gate

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if isinstance(message, Add):
            self.begun.set()
            await self.gate.wait()
        return await super().receive(message, ctx)


@pytest.mark.parametrize("cause", ["read-only", "locked"])  # a full disk has room for what frees some
@pytest.mark.parametrize("then", ["another message", "the same message again", "a crash", "a restart", "a death"])
async def test_a_message_whose_acknowledgement_could_not_be_written_is_counted_once_all_the_same(
    cause: str, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[Any]
) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT", 0.05)
    begun, gate = asyncio.Event(), asyncio.Event()
    path, copy = tmp_path / "journal.db", tmp_path / "copy.db"
    journal, expected = SqliteJournal(path), 1
    async with ActorSystem(journal=journal) as system:
        account = system.spawn(Gated, name="account", options=DURABLE, kwargs={"begun": begun, "gate": gate})
        await account.send(Add(1), message_id="first")
        await begun.wait()
        async with CAUSES[cause](journal):
            gate.set()
            while "mailbox.not_acknowledged" not in [entry["event"] for entry in log]:  # noqa: ASYNC110 - a log tells nobody
                await asyncio.sleep(0.01)
        if then == "another message":
            await account.send(Add(1), message_id="second")
            assert await account.ask(Read()) == Total(value=2)
            expected = 2
        elif then == "the same message again":
            assert await account.ask(Add(1), message_id="first") == Total(value=1)
            assert await account.ask(Read()) == Total(value=1)
        elif then == "a crash":  # of another message, whose burial saves no state
            await account.send(Crash(text="poison"))
            while not await system.dead_letters.durable.list():  # noqa: ASYNC110 - a dead letter tells nobody, either
                await asyncio.sleep(0.01)
        if then in ("a crash", "a death"):
            await journal.export(copy)
            path = copy
    if then == "a restart":  # the end of the actor has written it
        async with opened(path) as journal:
            assert await bodies(journal, "/account") == []

    async with ActorSystem(journal=SqliteJournal(path)) as system:
        account = system.spawn(Account, name="account", options=DURABLE)
        assert await account.ask(Read()) == Total(value=expected)
    assert len([entry for entry in log if entry["event"] == "mailbox.not_acknowledged"]) == 1


class Notes(msgspec.Struct):
    lines: list[str]


class Noter:
    """Notes what it is told, and answers with all notes."""

    def __init__(self, begun: Any, gate: Any) -> None:
        self.lines: list[str] = []
        self.begun, self.gate = begun, gate

    def snapshot(self) -> Notes:
        return Notes(self.lines)

    def restore(self, state: Notes) -> None:
        self.lines = state.lines

    async def __call__(self, ctx: InteractionContext) -> None:
        text = str(await ctx.message_promises)
        self.begun.set()
        await self.gate.wait()
        self.lines.append(text)
        ctx.reply(",".join(self.lines))


async def test_a_class_agent_notes_a_message_once_whose_acknowledgement_came_with_the_end_of_a_call(
    tmp_path: Path, log: list[Any]
) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()
    agent: Any = miniagent(durable=True, version="1")(Noter)
    live = {"begun": begun, "gate": gate}
    agent = agent.fork(non_freezable_kwargs={name: Keyed(event) for name, event in live.items()})
    journal, copy = SqliteJournal(tmp_path / "journal.db"), tmp_path / "copy.db"
    async with MiniAgents(journal=journal) as system:
        noter = system.spawn(agent, name="noter")
        await noter.send(TextMessage("one"))
        await begun.wait()
        async with read_only(journal):
            gate.set()
            while "mailbox.not_acknowledged" not in [entry["event"] for entry in log]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert str(await noter.inquire("two")) == "one,two"
        await journal.export(copy)

    async with MiniAgents(journal=SqliteJournal(copy)) as system:
        noter = system.spawn(agent, name="noter")
        assert str(await noter.inquire("three")) == "one,two,three"


class Keyed:
    """An event that may be an argument of a durable agent."""

    journal_key = "event"

    def __init__(self, event: asyncio.Event) -> None:
        self.set, self.wait = event.set, event.wait


async def test_a_damaged_page_fails_the_start_of_who_needs_it_and_a_copy_put_back_has_all(tmp_path: Path) -> None:
    path, copy = tmp_path / "journal.db", tmp_path / "copy.db"
    with pytest.raises(InterruptedError):
        async with ActorSystem(journal=SqliteJournal(path)) as system:
            account = system.spawn(
                Gated, name="account", options=DURABLE, kwargs={"begun": asyncio.Event(), "gate": asyncio.Event()}
            )
            for _ in range(3):
                await account.send(Add(1))
            raise InterruptedError
    shutil.copy(path, copy)
    async with opened(path) as journal:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'envelopes'"
        (root,) = await on_connection(journal, lambda database: database.execute(sql).fetchone())
        size = await on_connection(journal, lambda database: database.execute("PRAGMA page_size").fetchone()[0])
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 100)

    async with ActorSystem(journal=SqliteJournal(path)) as system:
        account = system.spawn(Account, name="account", options=DURABLE)
        with pytest.raises(JournalError, match="a page of the file is damaged; restore an export"):
            await account.started()

    shutil.copy(copy, path)
    async with ActorSystem(journal=SqliteJournal(path)) as system:
        account = system.spawn(Account, name="account", options=DURABLE)
        assert await account.ask(Read()) == Total(value=3)


async def test_a_journal_of_a_newer_version_fails_the_start_of_the_system_and_its_mail_waits_for_the_upgrade(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    with pytest.raises(InterruptedError):
        async with ActorSystem(journal=SqliteJournal(path)) as system:
            account = system.spawn(
                Gated, name="account", options=DURABLE, kwargs={"begun": asyncio.Event(), "gate": asyncio.Event()}
            )
            await account.send(Add(1))
            raise InterruptedError

    def set_version(version: int) -> None:
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute(f"PRAGMA user_version = {version}")

    set_version(99)
    with pytest.raises(JournalError, match=r"has version 99, and this one reads up to 1\. Upgrade miniagents"):
        async with ActorSystem(journal=SqliteJournal(path)):
            pass
    set_version(1)

    async with ActorSystem(journal=SqliteJournal(path)) as system:
        account = system.spawn(Account, name="account", options=DURABLE)
        assert await account.ask(Read()) == Total(value=1)
