"""`SqliteConversations`: conversations in a file, which survive a restart of the process."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from miniagents.errors import InvalidOptionError
from miniagents.ext.serving.conversations.conversations import SavedConversation, new_revision

T = TypeVar("T")

_BUSY = 10.0
"""Seconds to wait while another process writes. The time in the queue of the thread counts too."""

_PROBE = 16 * 1024
"""Bytes that a check writes, to see whether there is space on the disk."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    owner TEXT NOT NULL, id TEXT NOT NULL, revision TEXT NOT NULL, data BLOB NOT NULL, saved_at REAL NOT NULL,
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS conversations_saved_at ON conversations (saved_at);
CREATE INDEX IF NOT EXISTS conversations_of_owner ON conversations (owner, saved_at);
"""

_PUSH_OUT = """
DELETE FROM conversations WHERE owner = ? AND id IN (
    SELECT id FROM conversations WHERE owner = ? AND id != ? ORDER BY saved_at DESC LIMIT -1 OFFSET ?
)
"""


class SqliteConversations:
    """Conversations in a file of SQLite. Several processes of one machine may share the file.

    A save returns when the data is on the disk. All work runs in one thread, so that the event loop never waits for the
    disk. A new file is readable by its owner only (mode 0600). Its content is not encrypted.

    Args:
        path: The file. The first use creates it; its directory must exist.
        ttl: Seconds after its last change after which a conversation is deleted, more than 0; None for never.
        most: The most conversations of one owner, 1 or more; None for no limit. One more deletes the conversation whose
            last change is the oldest.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        >>> import tempfile
        >>> directory = tempfile.TemporaryDirectory()
        >>> store = SqliteConversations(f"{directory.name}/conversations.db", ttl=86_400.0)
        >>> revision = await store.save("ann", "c1", b"Hi", after=None)
        >>> (await store.load("ann", "c1")).data
        b'Hi'
        >>> await store.close()
        >>> directory.cleanup()
    """

    def __init__(self, path: str | Path, *, ttl: float | None = None, most: int | None = 100_000) -> None:
        if most is not None and most < 1:
            raise InvalidOptionError(f"most= must be 1 or more, or None, not {most!r}")
        if ttl is not None and not ttl > 0:
            raise InvalidOptionError(f"ttl= must be more than 0 s, or None, not {ttl!r}")
        if str(path) in ("", ":memory:"):
            raise InvalidOptionError("SqliteConversations needs a file: in memory, use MemoryConversations")
        self._path = Path(path)
        self._ttl = ttl
        self._most = most
        self._thread: ThreadPoolExecutor | None = None
        self._database: sqlite3.Connection | None = None
        self._lacked = 0  # the size of the last save that failed, in bytes

    async def load(self, owner: str, id: str) -> SavedConversation | None:
        """Return a conversation, or None; see `ConversationStore`."""
        return await self._do(lambda database: self._load(database, owner, id))

    async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
        """Save a conversation; see `ConversationStore`."""
        return await self._do(lambda database: self._save(database, owner, id, data, after))

    async def delete(self, owner: str, id: str) -> bool:
        """Delete a conversation; see `ConversationStore`."""
        sql = "DELETE FROM conversations WHERE owner = ? AND id = ?"
        return await self._do(lambda database: database.execute(sql, (owner, id)).rowcount > 0)

    async def check(self) -> None:
        """Check that conversations can be saved.

        Raises:
            sqlite3.Error: The file is not a file of SQLite, locked, read-only or full.
            OSError: The file cannot be opened.
        """
        await self._do(self._probe)

    async def close(self) -> None:
        """Close the file. The next use opens it again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="conversations")
        until = time.monotonic() + _BUSY
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._opened(until)))

    # In the thread

    def _opened(self, until: float) -> sqlite3.Connection:
        seconds = max(until - time.monotonic(), 0.0)
        if self._database is None:
            # The file exists before SQLite opens it, since SQLite would make it readable for others. The other files of
            # SQLite get the same mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            # After `close` another thread may follow, but there is never more than one.
            database = sqlite3.connect(self._path, timeout=seconds, isolation_level=None, check_same_thread=False)
            try:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = FULL")
                database.executescript(_SCHEMA)
            except BaseException:
                database.close()
                raise
            self._database = database
        self._database.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
        return self._database

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _probe(self, database: sqlite3.Connection) -> None:
        row = ("", "", new_revision(), bytes(max(_PROBE, self._lacked)), time.time())
        remove = "DELETE FROM conversations WHERE owner = '' AND id = ''"  # an id of a conversation is never empty
        database.execute("BEGIN IMMEDIATE")
        with database:
            database.execute(remove)  # a process that was killed may have left it
            database.execute("INSERT INTO conversations VALUES (?, ?, ?, ?, ?)", row)
        database.execute(remove)
        self._lacked = 0

    def _load(self, database: sqlite3.Connection, owner: str, id: str) -> SavedConversation | None:
        sql = "SELECT data, revision FROM conversations WHERE owner = ? AND id = ? AND saved_at > ?"
        row = database.execute(sql, (owner, id, self._oldest())).fetchone()
        return SavedConversation(*row) if row is not None else None

    def _save(self, database: sqlite3.Connection, owner: str, id: str, data: bytes, after: str | None) -> str | None:
        revision, now = new_revision(), time.time()
        self._lacked = len(data)
        database.execute("BEGIN IMMEDIATE")
        with database:  # commits, or rolls back
            database.execute("DELETE FROM conversations WHERE saved_at <= ?", (self._oldest(),))
            if after is None:
                sql = "INSERT INTO conversations VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
                cursor = database.execute(sql, (owner, id, revision, data, now))
                if self._most is not None and cursor.rowcount == 1:
                    database.execute(_PUSH_OUT, (owner, owner, id, self._most - 1))
            else:
                sql = (
                    "UPDATE conversations SET revision = ?, data = ?, saved_at = ? "
                    "WHERE owner = ? AND id = ? AND revision = ?"
                )
                cursor = database.execute(sql, (revision, data, now, owner, id, after))
        self._lacked = 0
        return revision if cursor.rowcount == 1 else None

    def _oldest(self) -> float:
        return time.time() - self._ttl if self._ttl is not None else float("-inf")
