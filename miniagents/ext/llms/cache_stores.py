"""`MemoryStore` and `FileStore`: the answers of a `Cache`, the ones that were used last, up to a number and an age."""

import sqlite3
from collections import OrderedDict
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """The answers of a cache, by key."""

    def read(self, key: str, now: float) -> bytes | None:
        """Return an answer; None if there is none, or if it is too old.

        Args:
            key: The key.
            now: The time of day, in seconds.
        """
        ...

    def write(self, key: str, answer: bytes, now: float) -> None:
        """Keep an answer, in the place of an older one and of those that are too many."""
        ...

    def close(self) -> None:
        """Release what the store holds."""
        ...


class MemoryStore:
    """Answers in memory.

    Args:
        size: The most answers.
        max_age: Seconds that an answer is good for; None for no limit.
    """

    def __init__(self, size: int, max_age: float | None) -> None:
        self._size = size
        self._max_age = max_age
        self._answers: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def read(self, key: str, now: float) -> bytes | None:
        """See `Store`."""
        stored = self._answers.get(key)
        if stored is None:
            return None
        stored_at, answer = stored
        if self._max_age is not None and now - stored_at > self._max_age:
            del self._answers[key]
            return None
        self._answers.move_to_end(key)
        return answer

    def write(self, key: str, answer: bytes, now: float) -> None:
        """See `Store`."""
        self._answers[key] = (now, answer)
        self._answers.move_to_end(key)
        if len(self._answers) > self._size:
            self._answers.popitem(last=False)

    def close(self) -> None:
        """See `Store`."""


class FileStore:
    """Answers in an SQLite file, which several processes may share. It is used in one thread.

    Args:
        path: The file. It is made when an answer is read or written first, and nobody but its owner can read it.
        size: The most answers.
        max_age: Seconds that an answer is good for; None for no limit.
    """

    def __init__(self, path: Path, size: int, max_age: float | None) -> None:
        self._path = path
        self._size = size
        self._max_age = max_age
        self._opened: sqlite3.Connection | None = None

    def read(self, key: str, now: float) -> bytes | None:
        """See `Store`.

        Raises:
            sqlite3.Error: The file cannot be read.
            OSError: The file cannot be made.
        """
        database = self._database(now)
        oldest = now - self._max_age if self._max_age is not None else 0.0
        row = database.execute("SELECT answer FROM answers WHERE key = ? AND stored_at >= ?", (key, oldest)).fetchone()
        if row is None:
            return None
        database.execute("UPDATE answers SET used_at = ? WHERE key = ?", (now, key))
        answer: bytes = row[0]
        return answer

    def write(self, key: str, answer: bytes, now: float) -> None:
        """See `Store`.

        Raises:
            sqlite3.Error: The file cannot be written.
            OSError: The file cannot be made.
        """
        database = self._database(now)
        database.execute("BEGIN IMMEDIATE")
        try:
            database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", (key, answer, now, now))
            if self._max_age is not None:
                database.execute("DELETE FROM answers WHERE stored_at < ?", (now - self._max_age,))
            (count,) = database.execute("SELECT COUNT(*) FROM answers").fetchone()
            if count > self._size:
                # The one that was just written stays, whatever the clocks of other processes say.
                oldest = "SELECT key FROM answers WHERE key != ? ORDER BY used_at LIMIT ?"
                database.execute(f"DELETE FROM answers WHERE key IN ({oldest})", (key, count - self._size))
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file. The next use opens it again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _database(self, now: float) -> sqlite3.Connection:
        if self._opened is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)  # prompts and answers are private
            database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            try:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute(
                    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer BLOB NOT NULL, "
                    "stored_at REAL NOT NULL DEFAULT 0, used_at REAL NOT NULL DEFAULT 0)"
                )
                known = {column[1] for column in database.execute("PRAGMA table_info(answers)")}
                for column in ("stored_at", "used_at"):
                    if column not in known:  # files of earlier versions have neither
                        database.execute(f"ALTER TABLE answers ADD COLUMN {column} REAL NOT NULL DEFAULT {now}")
                database.execute("CREATE INDEX IF NOT EXISTS answers_by_use ON answers (used_at)")
            except BaseException:
                database.close()
                raise
            self._opened = database
        return self._opened
