"""`SqliteJournal`: a journal in a file of SQLite, for one process."""

import asyncio
import atexit
import ctypes
import os
import sqlite3
import weakref
from pathlib import Path
from typing import Any, TypeVar

from miniagents.errors import InvalidOptionError, JournalError
from miniagents.journal.limits import MAX_MESSAGE_BYTES, PATIENCE
from miniagents.journal.operations import Operation, Query
from miniagents.journal.sqlite.database import as_journal_error, connect
from miniagents.journal.sqlite.file_lock import FileLock
from miniagents.journal.sqlite.file_system import check_file_system, check_sqlite, make_private
from miniagents.journal.sqlite.tables import Tables
from miniagents.journal.sqlite.writer import Writer
from miniagents.supervision.checking import check_count, check_seconds

R = TypeVar("R")

_open: "weakref.WeakSet[SqliteJournal]" = weakref.WeakSet()
_inherited: set[Path] = set()
"""The files that were open when this process was forked: SQLite must not open them here again."""


class SqliteJournal:
    """A journal in a file of SQLite, for one process at a time.

    The loop never waits for the disk: one thread has the only connection, and what waits for it becomes one
    transaction. A write is on disk once its future has resolved. The file, its write-ahead log and its lock can be read
    and written by their owner alone; what is inside is not encrypted.

    Args:
        path: The file. It is made when the journal is opened first; its folder must be there.
        synchronous: "FULL": what was accepted outlives a power cut. "NORMAL": it outlives the end of the process in
            every form, and a power cut may take the last transactions; faster where syncs are slow.
        keep_for: Seconds, more than 0, that jobs and interactions are kept after their end; None for ever. What is
            unfinished, waits or lies in the dead letters is kept in any case.
        keep_ids_for: Seconds, more than 0, that the ids of handled messages are kept; None for ever. A message that is
            sent again after that is a new one.
        max_message_bytes: The largest message, in encoded bytes, 1 or more.
        patience: Seconds, 0 or more, that an interaction waits to find out which of several recorded ones it is.
        rollback_journal: Use a rollback journal in place of the write-ahead log, for file systems on which that does
            not work (NFS, SMB, FUSE, the mounts of a desktop's containers). Slower, and only as safe as the locks and
            syncs of that file system.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        >>> import tempfile
        >>> from miniagents.journal import Accept, Unacknowledged
        >>> folder = tempfile.TemporaryDirectory()
        >>> journal = SqliteJournal(f"{folder.name}/swarm.db")
        >>> journal.open()
        >>> accepted = await journal.write(Accept(journal.next_id(), "/counter", b"body"))
        >>> accepted.standing.value
        'new'
        >>> [envelope.body for envelope in await journal.read(Unacknowledged("/counter"))]
        [b'body']
        >>> await journal.close()
        >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | Path,
        *,
        synchronous: str = "FULL",
        keep_for: float | None = None,
        keep_ids_for: float | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        patience: float = PATIENCE,
        rollback_journal: bool = False,
    ) -> None:
        if str(path) in ("", ":memory:"):
            raise InvalidOptionError("SqliteJournal needs a file; MemoryJournal is for the memory")
        if synchronous not in ("FULL", "NORMAL"):
            raise InvalidOptionError(f"synchronous= must be 'FULL' or 'NORMAL', not {synchronous!r}")
        for name, seconds in (("keep_for=", keep_for), ("keep_ids_for=", keep_ids_for)):
            if seconds is not None:
                check_seconds(name, seconds, above_zero=True)
        check_count("max_message_bytes=", max_message_bytes, 1)
        check_seconds("patience=", patience)
        self.path = Path(path).absolute()
        self.max_message_bytes = max_message_bytes
        self.patience = patience
        self._synchronous = synchronous
        self._keep_for = keep_for
        self._keep_ids_for = keep_ids_for
        self._rollback_journal = rollback_journal
        self._lock = FileLock(self.path)
        self._last_id = 0
        self._writer: Writer | None = None

    def open(self) -> None:
        """Open the journal; see `Journal`. What is wrong with the machine, the file system or the file is said here."""
        if self._writer is not None:
            return
        self._check_not_inherited()
        check_sqlite()
        try:
            if not self._rollback_journal:
                check_file_system(self.path)
            self._lock.acquire()
        except OSError as error:
            raise as_journal_error(error, self.path) from error
        try:
            database = connect(self.path, synchronous=self._synchronous, rollback_journal=self._rollback_journal)
            self._writer = Writer(
                self.path, database, lambda: self._last_id, self._keep_for, self._keep_ids_for, self._lock.release
            )
        except BaseException as error:
            self._lock.release()
            if isinstance(error, (sqlite3.Error, OSError)):
                raise as_journal_error(error, self.path) from error
            raise
        self._last_id = self._writer.tables.last_id
        _open.add(self)
        atexit.register(self._writer.stop)

    def next_id(self, count: int = 1) -> int:
        """Return the next number; see `Journal`."""
        first = self._last_id + 1
        self._last_id += count
        return first

    def write(self, first: Operation[R], *more: Operation[Any]) -> asyncio.Future[R]:
        """Write operations; see `Journal`."""
        return (self._writer or self._opened()).put((first, *more))

    def read(self, query: Query[R]) -> asyncio.Future[R]:
        """Ask a question; see `Journal`."""
        return (self._writer or self._opened()).put(query)

    async def close(self) -> None:
        """Write what waits, and close the journal; see `Journal`."""
        writer, self._writer = self._writer, None
        if writer is not None:
            _open.discard(self)
            atexit.unregister(writer.stop)
            await writer.close()

    def export(self, path: str | Path) -> asyncio.Future[None]:
        """Write a copy of the journal, as it is now, into a new file that its owner alone can read and write.

        The copy is one file, without a write-ahead log, and can be opened as a journal. Writes wait meanwhile.

        Args:
            path: The new file.

        Raises:
            JournalError: In the future: the file is there already, or cannot be written.
        """
        target = Path(path).absolute()
        return self._opened().put(lambda database, _: _export(database, target))

    def vacuum(self) -> asyncio.Future[None]:
        """Remove what nothing names any more, and give the room in the file back to the disk. Writes wait meanwhile.

        Raises:
            JournalError: In the future: the disk has no room for a copy of the file, which this needs for a while.
        """
        return self._opened().put(_vacuum)

    def check(self) -> asyncio.Future[list[str]]:
        """Look through all of the file for damage. Writes wait meanwhile.

        Returns:
            What SQLite has found, 100 findings at most; [] for a file that is whole.
        """
        return self._opened().put(_check)

    def size(self) -> int:
        """Return how many bytes the journal takes on the disk, with its write-ahead log."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def leave_to_parent(self) -> None:
        """Give the journal up in a forked child: what is open belongs to the parent. Nothing is written or closed."""
        writer, self._writer = self._writer, None
        if writer is not None:
            atexit.unregister(writer.stop)
            # Never deallocated here: closing would release the locks of the parent, or delete its log.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(writer.database))
            self._lock.release()
            _inherited.add(self.path)

    def _opened(self) -> Writer:
        if self._writer is None:
            self._check_not_inherited()
            raise JournalError(
                f"{self.path}: the journal is not open; the system opens it, or call open()", path=str(self.path)
            )
        return self._writer

    def _check_not_inherited(self) -> None:
        if self.path in _inherited:
            raise JournalError(
                f"{self.path}: this process was forked while its parent had the journal open, and cannot use it. Start "
                "the process with multiprocessing's 'spawn', or open the journal after the fork",
                path=str(self.path),
            )


def _export(database: sqlite3.Connection, path: Path) -> None:
    try:
        os.close(make_private(path, os.O_EXCL))
    except FileExistsError as error:
        raise JournalError(f"{path} is there already; export into a new file", path=str(path)) from error
    copy = sqlite3.connect(path, isolation_level=None)
    try:
        database.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    except BaseException:
        path.unlink()
        raise
    finally:
        copy.close()


def _check(database: sqlite3.Connection, _: Tables) -> list[str]:
    found = [text for (text,) in database.execute("PRAGMA integrity_check").fetchall()]
    return [] if found == ["ok"] else found


def _vacuum(database: sqlite3.Connection, tables: Tables) -> None:
    database.execute("BEGIN IMMEDIATE")
    tables.sweep()
    database.execute("COMMIT")
    database.execute("VACUUM")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _leave_to_parent() -> None:
    for journal in tuple(_open):
        journal.leave_to_parent()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
