"""The connection: how it is opened, and what its errors mean."""

import os
import sqlite3
import sys
from pathlib import Path

from miniagents.errors import JournalError
from miniagents.journal.sqlite.file_system import make_private
from miniagents.journal.sqlite.schema import migrate

BUSY_TIMEOUT = 2.0
"""Seconds to wait for a foreign connection that has locked the file; nobody should have one."""

_LOG_SIZE = 64 * 1024 * 1024

_CAUSES = {
    sqlite3.SQLITE_FULL: ("full", "the disk is full; make room, and write again"),
    sqlite3.SQLITE_IOERR: ("io", "the disk does not read or write; look into the system's log"),
    sqlite3.SQLITE_READONLY: ("read-only", "the file is read-only; give this user the right to write it"),
    sqlite3.SQLITE_CORRUPT: ("corrupt", "a page of the file is damaged; restore an export, or use `sqlite3 .recover`"),
    sqlite3.SQLITE_NOTADB: ("corrupt", "the file is no database of SQLite; restore an export, or use another file"),
    sqlite3.SQLITE_BUSY: ("locked", "another program has locked the file; end that program"),
    sqlite3.SQLITE_LOCKED: ("locked", "another program has locked the file; end that program"),
    sqlite3.SQLITE_CANTOPEN: ("absent", "the file cannot be opened; its folder must be there, and be writable"),
    sqlite3.SQLITE_PERM: ("read-only", "this user has no right to the file"),
    sqlite3.SQLITE_NOMEM: ("memory", "there is no memory left"),
}


def connect(path: Path, *, synchronous: str, rollback_journal: bool) -> sqlite3.Connection:
    """Open the only connection to a journal. Its thread may be another one than this.

    Args:
        path: The file.
        synchronous: "FULL" or "NORMAL".
        rollback_journal: Whether a rollback journal takes the place of the WAL.

    Raises:
        JournalError: The file is of a newer version, or no journal.
        sqlite3.Error: It cannot be opened.
        OSError: It cannot be made.
    """
    # Closed before SQLite opens the file: closing any descriptor later would drop SQLite's locks.
    os.close(make_private(path))
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        migrate(database, str(path))
        (mode,) = database.execute(f"PRAGMA journal_mode = {'DELETE' if rollback_journal else 'WAL'}").fetchone()
        if mode != ("delete" if rollback_journal else "wal"):
            raise JournalError(f"{path}: SQLite cannot use the write-ahead log here ({mode})", path=str(path))
        database.execute(f"PRAGMA synchronous = {synchronous}")
        if sys.platform == "darwin":  # without these, a sync does not outlive a power cut there
            database.execute("PRAGMA fullfsync = ON")
            database.execute("PRAGMA checkpoint_fullfsync = ON")
        database.execute(f"PRAGMA journal_size_limit = {_LOG_SIZE}")
        database.execute("PRAGMA temp_store = MEMORY")
        database.execute("PRAGMA cache_size = -16000")
        database.execute("SELECT count(*) FROM json_each('[]')")
        # Fails now, and not at the first message, if the file cannot be written.
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE process SET number = number + 1")
        database.execute("COMMIT")
    except BaseException:
        database.close()
        raise
    return database


def is_of_the_disk(error: Exception) -> bool:
    """Return whether an error is one of the file or the disk, and not of what was to be written."""
    return isinstance(error, sqlite3.Error) and _code(error) in _CAUSES


def as_journal_error(error: Exception, path: Path) -> JournalError:
    """Return the error for those whose write or read has failed."""
    if isinstance(error, JournalError):
        return error
    reason, advice = "other", "see the cause"
    if isinstance(error, sqlite3.Error):
        reason, advice = _CAUSES.get(_code(error), (reason, advice))
    elif isinstance(error, OSError):
        reason, advice = "os", "its folder must be there, and be writable"
    failure = JournalError(f"{path}: {advice} ({type(error).__name__}: {error})", path=str(path), reason=reason)
    failure.__cause__ = error
    return failure


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
