"""Journals for tests."""

import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from miniagents.journal import Accept, SqliteJournal, Unacknowledged


@contextlib.asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[SqliteJournal]:
    """An open journal, which is closed at the end."""
    journal = SqliteJournal(path, **options)
    journal.open()
    try:
        yield journal
    finally:
        await journal.close()


async def on_connection(journal: SqliteJournal, call: Callable[[sqlite3.Connection], Any]) -> Any:
    """What a call returns that is made with the connection, in its thread."""
    assert journal._writer is not None
    return await journal._writer.put(lambda database, _: call(database))


def hold(journal: SqliteJournal) -> tuple[threading.Event, list[str]]:
    """Hold the thread of a journal, as a disk does that does not answer, until an event is set.

    Returns:
        The event, and the list of all statements that come after it.
    """
    released, statements = threading.Event(), list[str]()

    def wait(database: sqlite3.Connection, _: object) -> None:
        database.set_trace_callback(statements.append)
        released.wait()

    assert journal._writer is not None
    journal._writer.put(wait)
    return released, statements


async def accept(journal: SqliteJournal, body: bytes, receiver: str = "/a") -> None:
    """Accept an envelope."""
    await journal.write(Accept(journal.next_id(), receiver, body))


async def bodies(journal: SqliteJournal, receiver: str = "/a") -> list[bytes]:
    """The bodies that wait."""
    return [envelope.body for envelope in await journal.read(Unacknowledged(receiver, limit=1_000_000))]
