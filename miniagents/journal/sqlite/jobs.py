"""The jobs of a `SqliteJournal`, and what ends with them."""

import json
import sqlite3

from miniagents.journal.jobs import ChangeJob, DeleteJob, Forget, Job, JobOf, Jobs, JobState, StartJob
from miniagents.journal.lives import Begin, job_subject
from miniagents.journal.rows import RowState
from miniagents.journal.sqlite.codes import JOB_STATES, ROW_STATES
from miniagents.journal.sqlite.lives import SqliteLives
from miniagents.journal.sqlite.names import Names
from miniagents.journal.sqlite.rows import SqliteRows
from miniagents.journal.sqlite.waits import SqliteWaits

_COLUMNS = "name, agent, input_key, input, state, detail, started_at, changed_at"
_ENDED = tuple(JOB_STATES.of[state] for state in (JobState.FINISHED, JobState.FAILED, JobState.CANCELLED))


class SqliteJobs:
    """Jobs by their names, with their rows and waits.

    Args:
        database: The connection, in the thread of the journal.
        names: The table of names.
        lives: Where progress is noted.
    """

    def __init__(self, database: sqlite3.Connection, names: Names, lives: SqliteLives) -> None:
        self._database = database
        self._names = names
        self._lives = lives
        self.rows = SqliteRows(database, names, lives)
        self.waits = SqliteWaits(database, self._takes_answers, lambda job: lives.progress({job_subject(job)}))

    def start(self, operation: StartJob) -> Job | None:
        """Do `StartJob`."""
        job = self.job_of(JobOf(operation.name))
        if job is None:
            running = JOB_STATES.of[JobState.RUNNING]
            row = (operation.name, operation.agent, operation.input_key, operation.input, running, b"")
            sql = f"INSERT INTO jobs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            self._database.execute(sql, (*row, operation.at, operation.at))
            self._lives.begin(Begin(job_subject(operation.name)))  # in the same transaction, for one sync of the disk
        return job

    def change(self, operation: ChangeJob) -> bool:
        """Do `ChangeJob`."""
        code = JOB_STATES.of[operation.state]
        sql = "UPDATE jobs SET state = ?, detail = ?, changed_at = ? WHERE name = ?"
        values = (code, operation.detail, operation.at, operation.name)
        is_there = bool(self._database.execute(sql, values).rowcount)
        if is_there and code in _ENDED:
            self.waits.close_of_job(operation.name)
        return is_there

    def forget(self, operation: Forget) -> int:
        """Do `Forget`."""
        job = self._names.known(operation.job)
        if operation.row:
            rows = self.rows.below(operation.row, job)
        else:
            rows = [id for (id,) in self._database.execute("SELECT id FROM rows WHERE job = ?", (job,)).fetchall()]
        self.rows.forget(rows)
        self.waits.forget(operation.job, rows, operation.keep_answers)
        return len(rows)

    def delete(self, operation: DeleteJob) -> bool:
        """Do `DeleteJob`."""
        self.forget(Forget(operation.name, keep_answers=False))
        self.waits.forget_early(operation.name)
        self._lives.remove(job_subject(operation.name))
        return bool(self._database.execute("DELETE FROM jobs WHERE name = ?", (operation.name,)).rowcount)

    def expire_jobs(self, before: float) -> int:
        """Remove the jobs that have ended before a time, and return how many."""
        sql = "SELECT name FROM jobs WHERE state IN (?, ?, ?) AND changed_at < ?"
        old = self._database.execute(sql, (*_ENDED, before)).fetchall()
        for (name,) in old:
            self.delete(DeleteJob(name))
        return len(old)

    def expire_roots(self, before: float) -> int:
        """Remove the roots without a job that have ended before a time, and return how many."""
        # `+job` leaves the index of jobs alone: there are fewer roots than rows without a job.
        sql = "SELECT id FROM rows WHERE parent = 0 AND +job = ? AND at < ?"
        no_job = self._names.known("")
        old = self._database.execute(sql, (no_job, before)).fetchall()
        running = "SELECT 1 FROM rows WHERE state = ? AND id IN (SELECT value FROM json_each(?)) LIMIT 1"
        removed = 0
        for (root,) in old:
            rows = self.rows.below(root, no_job)
            values = (ROW_STATES.of[RowState.RUNNING], json.dumps(rows))
            if not self._database.execute(running, values).fetchall():
                self.rows.forget(rows)
                self.waits.forget("", rows, keep_answers=False)
                removed += 1
        return removed

    def job_of(self, query: JobOf) -> Job | None:
        """Answer `JobOf`."""
        row = self._database.execute(f"SELECT {_COLUMNS} FROM jobs WHERE name = ?", (query.name,)).fetchone()
        return _job(row) if row is not None else None

    def jobs_in(self, query: Jobs) -> tuple[Job, ...]:
        """Answer `Jobs`."""
        states = [JOB_STATES.of[state] for state in query.states or JobState]
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE state IN ({', '.join('?' * len(states))}) ORDER BY id"
        return tuple(_job(row) for row in self._database.execute(sql, states).fetchall())

    def _takes_answers(self, name: str) -> bool | None:
        if not name:
            return True
        row = self._database.execute("SELECT state FROM jobs WHERE name = ?", (name,)).fetchone()
        return row[0] not in _ENDED if row is not None else None


def _job(row: tuple[str, str, bytes, bytes, int, bytes, float, float]) -> Job:
    return Job(*row[:4], JOB_STATES.member[row[4]], *row[5:])
