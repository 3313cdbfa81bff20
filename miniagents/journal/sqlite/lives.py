"""The deaths, identities and snapshots of a `SqliteJournal`."""

import sqlite3
from collections.abc import Iterable, Sequence

from miniagents.journal.lives import Begin, Deaths, Pardon, Rest
from miniagents.journal.states import Claim, Clear, Save, Snapshot, SnapshotOf


class SqliteLives:
    """Which subjects have begun, and how often the process died with each.

    Args:
        database: The connection, in the thread of the journal.
        process: The number of this process.
    """

    def __init__(self, database: sqlite3.Connection, process: int) -> None:
        self._database = database
        self._process = process
        self._unproven: set[str] | None = None
        """The subjects of which nothing was committed since they began; None if that has to be read again. Most work
        is that of others, and costs a look into this set."""

    def begin(self, operation: Begin) -> int:
        """Do `Begin`."""
        sql = "SELECT process, is_busy, has_progressed, deaths FROM lives WHERE subject = ?"
        row = self._database.execute(sql, (operation.subject,)).fetchone()
        process, is_busy, has_progressed, deaths = row if row is not None else (self._process, False, False, 0)
        if is_busy and process == self._process:
            return int(deaths)
        if is_busy:
            deaths = 0 if has_progressed else deaths + 1
        sql = "INSERT OR REPLACE INTO lives VALUES (?, ?, TRUE, FALSE, ?)"
        self._database.execute(sql, (operation.subject, self._process, deaths))
        self.unproven().add(operation.subject)
        return int(deaths)

    def rest(self, operation: Rest) -> None:
        """Do `Rest`."""
        self._database.execute("UPDATE lives SET is_busy = FALSE WHERE subject = ?", (operation.subject,))

    def pardon(self, operation: Pardon) -> None:
        """Do `Pardon`."""
        self.remove(operation.subject)

    def deaths(self, query: Deaths) -> int:
        """Answer `Deaths`."""
        row = self._database.execute("SELECT deaths FROM lives WHERE subject = ?", (query.subject,)).fetchone()
        return row[0] if row is not None else 0

    def unproven(self) -> set[str]:
        """Return the subjects of which nothing was committed since they began."""
        if self._unproven is None:
            rows = self._database.execute("SELECT subject FROM lives WHERE NOT has_progressed").fetchall()
            self._unproven = {subject for (subject,) in rows}
        return self._unproven

    def progress(self, subjects: Iterable[str]) -> None:
        """Say that something of some subjects was committed."""
        for subject in self.unproven().intersection(subjects):
            sql = "UPDATE lives SET has_progressed = TRUE, deaths = 0 WHERE subject = ?"
            self._database.execute(sql, (subject,))
            self.unproven().discard(subject)

    def remove(self, subject: str) -> None:
        """Forget a subject."""
        self._database.execute("DELETE FROM lives WHERE subject = ?", (subject,))
        self.unproven().discard(subject)

    def forget(self) -> None:
        """Forget what is in memory, after a transaction was rolled back."""
        self._unproven = None


class SqliteStates:
    """Identities and snapshots.

    Args:
        database: The connection, in the thread of the journal.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def claim(self, operation: Claim) -> int:
        """Do `Claim`."""
        sql = "INSERT INTO uids VALUES (?, ?) ON CONFLICT DO NOTHING"
        self._database.execute(sql, (operation.path, operation.uid))
        (uid,) = self._database.execute("SELECT uid FROM uids WHERE path = ?", (operation.path,)).fetchone()
        return int(uid)

    def save(self, operations: Sequence[Save]) -> None:
        """Do several `Save`."""
        snapshots = (operation.snapshot for operation in operations)
        rows = [(each.owner, each.state, each.kind, each.at) for each in snapshots]
        self._database.executemany("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", rows)

    def clear(self, operation: Clear) -> None:
        """Do `Clear`."""
        self._database.execute("DELETE FROM snapshots WHERE owner = ?", (operation.owner,))

    def snapshot_of(self, query: SnapshotOf) -> Snapshot | None:
        """Answer `SnapshotOf`."""
        row = self._database.execute("SELECT * FROM snapshots WHERE owner = ?", (query.owner,)).fetchone()
        return Snapshot(*row) if row is not None else None
