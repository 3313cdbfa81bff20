"""The tables of a `SqliteJournal`: which method carries out which operation, and in what groups."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from miniagents.journal import mail, retention, rows, states, waits
from miniagents.journal.handlers import handlers
from miniagents.journal.operations import Batch, Query
from miniagents.journal.sqlite.codes import WAIT_STATES
from miniagents.journal.sqlite.grouping import NO_RESULT, Run
from miniagents.journal.sqlite.jobs import SqliteJobs
from miniagents.journal.sqlite.lives import SqliteLives, SqliteStates
from miniagents.journal.sqlite.mail import SqliteMail
from miniagents.journal.sqlite.names import Names
from miniagents.journal.sqlite.timers import SqliteTimers


class Tables:
    """All tables of an open database.

    Args:
        database: The connection, in the thread of the journal.

    Attributes:
        process: The number of the process that has opened the database, 1 for the first one.
        last_id: The last number that earlier processes have given out.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        (self.process, self.last_id) = database.execute("SELECT number, last_id FROM process").fetchone()
        self._noted_id = self.last_id
        self._names = Names(database)
        self.lives = SqliteLives(database, self.process)
        self.states = SqliteStates(database)
        self.mail = SqliteMail(database, self._names, self.lives)
        self.timers = SqliteTimers(database)
        self.jobs = SqliteJobs(database, self._names, self.lives)
        self._groups: dict[type, Callable[[Any], Sequence[Any] | None]] = {
            mail.Handle: self.mail.handle,
            mail.Accept: self.mail.accept,
            rows.StartRow: self.jobs.rows.start,
            rows.NoteInputs: self.jobs.rows.note_inputs,
            rows.KeepMessage: self.jobs.rows.keep_messages,
            rows.Record: self.jobs.rows.record,
            rows.FinishRow: self.jobs.rows.finish,
            states.Save: self.states.save,
        }
        self._singles: dict[type, Callable[[Any], Any]] = {
            **handlers(self),
            retention.Expire: self.expire,
            retention.Count: self._count,
        }

    def execute(self, writes: Sequence[Batch]) -> list[Any]:
        """Carry out writes within the open transaction, and return the result of the first operation of each."""
        results: list[Any] = [None] * len(writes)
        run = Run()
        for index, write in enumerate(writes):
            is_first = True
            for operation in write:
                if not run.add(index, operation, is_first=is_first):
                    self._execute_run(run, results)
                    run = Run()
                    if not run.add(index, operation, is_first=is_first):
                        result = self._singles[type(operation)](operation)
                        if is_first:
                            results[index] = result
                is_first = False
        self._execute_run(run, results)
        return results

    def read(self, query: Query[Any]) -> Any:
        """Answer a query."""
        return self._singles[type(query)](query)

    def note_last_id(self, last_id: int) -> None:
        """Note the last number that was given out, within the open transaction."""
        if last_id > self._noted_id:
            self._database.execute("UPDATE process SET last_id = ?", (last_id,))
            self._noted_id = last_id

    def expire(self, operation: retention.Expire, *, is_sweep_due: bool = True) -> retention.Removed:
        """Do `Expire`.

        Args:
            operation: The operation.
            is_sweep_due: Whether kept messages are looked through although no row was removed.
        """
        found_jobs = self.jobs.expire_jobs(operation.ended_before)
        roots = self.jobs.expire_roots(operation.ended_before)
        return retention.Removed(
            jobs=found_jobs,
            roots=roots,
            message_ids=self.mail.forget_ids(operation.handled_before),
            messages=self.jobs.rows.sweep() if is_sweep_due or found_jobs or roots else 0,
        )

    def sweep(self) -> None:
        """Remove names and kept messages that nothing needs, within the open transaction."""
        self.jobs.rows.sweep()
        self._names.sweep()

    def forget(self) -> None:
        """Forget what is in memory, after a transaction was rolled back."""
        self._names.forget()
        self.lives.forget()
        self._noted_id = 0  # so that the next transaction notes it again

    def _execute_run(self, run: Run, results: list[Any]) -> None:
        for kind, (places, operations) in run.groups.items():
            if operations:
                found = self._groups[kind](operations)
                for place, result in zip(places, found or (), strict=found is not None):
                    if place != NO_RESULT:
                        results[place] = result

    def _count(self, _: retention.Count) -> retention.Counts:
        tables = ("envelopes", "letters", "message_ids", "timers", "jobs", "rows", "records", "messages")
        counts = {table: self._number_of(table) for table in tables}
        waiting = f"waits WHERE state = {WAIT_STATES.of[waits.WaitState.WAITING]}"
        return retention.Counts(**counts, waits=self._number_of(waiting), snapshots=self._number_of("snapshots"))

    def _number_of(self, table: str) -> int:
        (number,) = self._database.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(number)
