"""The timers of a `SqliteJournal`."""

import sqlite3

import msgspec

from miniagents.journal.timers import Advance, Schedule, Timer, Timers, Unschedule


class SqliteTimers:
    """Timers by actor and name.

    Args:
        database: The connection, in the thread of the journal.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def schedule(self, operation: Schedule) -> Timer:
        """Do `Schedule`."""
        new = operation.timer
        sql = "SELECT * FROM timers WHERE actor = ? AND name = ?"
        row = self._database.execute(sql, (new.actor, new.name)).fetchone()
        if row is not None:
            old = Timer(*row)
            if (old.rule, old.body) == (new.rule, new.body):
                return old
        sql = "INSERT OR REPLACE INTO timers VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._database.execute(sql, msgspec.structs.astuple(new))
        return new

    def advance(self, operation: Advance) -> None:
        """Do `Advance`."""
        sql = "UPDATE timers SET due_at = ? WHERE actor = ? AND name = ?"
        self._database.execute(sql, (operation.due_at, operation.actor, operation.name))

    def unschedule(self, operation: Unschedule) -> None:
        """Do `Unschedule`."""
        sql = "DELETE FROM timers WHERE actor = ? AND name = coalesce(?, name)"
        self._database.execute(sql, (operation.actor, operation.name))

    def timers_of(self, query: Timers) -> tuple[Timer, ...]:
        """Answer `Timers`."""
        where, values = ("WHERE actor = ?", (query.actor,)) if query.actor is not None else ("", ())
        sql = f"SELECT * FROM timers {where} ORDER BY due_at, actor, name"
        return tuple(Timer(*row) for row in self._database.execute(sql, values).fetchall())
