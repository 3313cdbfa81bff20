"""DBOS Transact on its own backend for SQLite: a workflow, and steps in it."""

import functools
import tempfile
from typing import Any

import job_common
import sqlalchemy
from common import main, note
from dbos import DBOS, SetWorkflowID


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def set_up(connection: Any, _: Any) -> None:
    """As for all others; its own default is a rollback journal, which syncs more often."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


@DBOS.step()
async def step(number: int) -> str:
    return f"done {number}"


@DBOS.workflow()
async def job() -> str:
    for number in range(job_common.STEPS):
        await step(number)
    return "done"


async def run(name: str) -> str:
    with SetWorkflowID(name):
        return await job()


@note("SQLite, WAL, synchronous=FULL; each step waits until the one before is on disk")
async def steps(jobs_at_once: int, n: int) -> tuple[Any, int]:
    with tempfile.TemporaryDirectory() as folder:
        DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.sqlite", "log_level": "ERROR"})
        DBOS.launch()
        try:
            return await job_common.steps(run, jobs_at_once, n)
        finally:
            DBOS.destroy()


WORKLOADS = dict(durable_steps=functools.partial(steps, 1), durable_steps_100=functools.partial(steps, 100))

if __name__ == "__main__":
    main("dbos", "dbos", WORKLOADS, job_common.DEFAULTS)
