"""`SqliteConversations`: conversations in a file, so that they go on after the process was started again."""

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
"""Seconds to wait while another process writes, counted from when the work was asked for: what has waited behind other
work for so long does not wait anew."""

_PROBE = 16 * 1024
"""Bytes that must find room where a conversation is to."""

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
    """Conversations in a file of SQLite. Several processes of one machine may share it.

    What was saved is on the disk. One thread does all the work, so that the loop never waits for the disk. A file that
    is made here can be read by its owner alone (mode 0600); what is inside is not encrypted.

    Args:
        path: The file; it is made at the first use. Its directory must be there.
        ttl: Seconds after which a conversation that nobody goes on with is forgotten, more than 0; None for never.
        most: How many of one owner, 1 or more; None for any number. One more pushes out that which nobody has gone on
            with for longest.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = SqliteConversations(f"{folder}/conversations.db")
        ...     revision = await store.save("ada", "trip", b"one", after=None)
        ...     await store.close()
        ...     print((await store.load("ada", "trip")).data)
        ...     await store.close()
        b'one'
    """

    def __init__(self, path: str | Path, *, ttl: float | None = None, most: int | None = 100_000) -> None:
        if most is not None and most < 1:
            raise InvalidOptionError(f"most= must be 1 or more, or None, not {most!r}")
        if ttl is not None and not ttl > 0:
            raise InvalidOptionError(f"ttl= must be more than 0 s, or None, not {ttl!r}")
        if str(path) in ("", ":memory:"):
            raise InvalidOptionError("SqliteConversations needs a file; MemoryConversations is for the memory")
        self._path = Path(path)
        self._ttl = ttl
        self._most = most
        self._thread: ThreadPoolExecutor | None = None
        self._database: sqlite3.Connection | None = None
        self._lacked = 0  # bytes that could not be saved when that was last tried

    async def load(self, owner: str, id: str) -> SavedConversation | None:
        """The conversation, or None; see `ConversationStore`."""
        return await self._do(lambda database: self._load(database, owner, id))

    async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
        """Save it; see `ConversationStore`."""
        return await self._do(lambda database: self._save(database, owner, id, data, after))

    async def delete(self, owner: str, id: str) -> bool:
        """Forget it; see `ConversationStore`."""
        sql = "DELETE FROM conversations WHERE owner = ? AND id = ?"
        return await self._do(lambda database: database.execute(sql, (owner, id)).rowcount > 0)

    async def check(self) -> None:
        """Check that conversations can be saved.

        Raises:
            sqlite3.Error: The file is none of SQLite's, locked, read-only or full.
            OSError: It cannot be opened.
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
        left = max(until - time.monotonic(), 0.0)
        if self._database is None:
            # Made before SQLite makes it, since that would make it readable for others; the files that SQLite puts
            # beside it have the same mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            # The thread may be another one after `close`, but there is never more than one.
            database = sqlite3.connect(self._path, timeout=left, isolation_level=None, check_same_thread=False)
            try:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = FULL")
                database.executescript(_SCHEMA)
            except BaseException:
                database.close()
                raise
            self._database = database
        self._database.execute(f"PRAGMA busy_timeout = {round(left * 1000)}")
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
            database.execute(remove)  # what a process that was killed has left
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
                done = database.execute(sql, (owner, id, revision, data, now))
                if self._most is not None and done.rowcount == 1:
                    database.execute(_PUSH_OUT, (owner, owner, id, self._most - 1))
            else:
                sql = (
                    "UPDATE conversations SET revision = ?, data = ?, saved_at = ? "
                    "WHERE owner = ? AND id = ? AND revision = ?"
                )
                done = database.execute(sql, (revision, data, now, owner, id, after))
        self._lacked = 0
        return revision if done.rowcount == 1 else None

    def _oldest(self) -> float:
        return time.time() - self._ttl if self._ttl is not None else float("-inf")
