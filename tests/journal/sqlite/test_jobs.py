"""The jobs of a `SqliteJournal`: how much of the file an operation reads."""

import sqlite3
from collections.abc import Callable

import pytest

from miniagents.journal import Forget, StartRow
from miniagents.journal.sqlite.jobs import SqliteJobs
from miniagents.journal.sqlite.schema import migrate
from miniagents.journal.sqlite.tables import Tables


def steps_with(rows: int, job: str, do: Callable[[SqliteJobs], object]) -> int:
    """Return how many instructions SQLite carries out for an operation in a journal with a root and rows below it."""
    with sqlite3.connect(":memory:", isolation_level=None) as database:
        migrate(database, "memory")
        jobs = Tables(database).jobs
        jobs.rows.start(
            [StartRow(row, min(row - 1, 1), b"slot", row, job, "agent", row, 50.0) for row in range(1, rows)]
        )
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        database.set_progress_handler(step, 1)
        do(jobs)
    database.close()
    return steps


@pytest.mark.parametrize(
    ("job", "do"),
    [
        ("job-42", lambda jobs: jobs.forget(Forget("job-42", 7))),
        ("", lambda jobs: jobs.expire_roots(10.0)),
    ],
    ids=["forgetting one row", "looking for old roots"],
)
def test_an_operation_on_few_rows_does_not_read_the_others_of_the_job(
    job: str, do: Callable[[SqliteJobs], object]
) -> None:
    few, many = steps_with(10, job, do), steps_with(1000, job, do)

    assert few <= many <= few + 20


def test_a_row_of_another_job_is_not_forgotten() -> None:
    with sqlite3.connect(":memory:", isolation_level=None) as database:
        migrate(database, "memory")
        jobs = Tables(database).jobs
        for row, job in ((1, "one"), (2, "other")):
            jobs.rows.start([StartRow(row, 0, b"slot", 0, job, "agent", row)])

        assert [jobs.forget(Forget(job, 1)) for job in ("other", "unknown", "one")] == [0, 0, 1]
    database.close()
