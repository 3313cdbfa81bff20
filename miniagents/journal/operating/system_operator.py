"""`SystemOperator`: what an operator asks of a system that runs with a journal."""

from collections.abc import Mapping
from typing import Any, Protocol

from miniagents.control.protocol import failed
from miniagents.journal.jobs import ChangeJob, Job
from miniagents.journal.operating.operator import Operator
from miniagents.journal.sqlite import SqliteJournal


class JobsThatRun(Protocol):
    """What is under way in a system."""

    @property
    def jobs(self) -> Mapping[str, Any]:
        """The jobs that run now, by their names."""


class LiveSystem(Protocol):
    """A running system, as an operator sees it."""

    @property
    def name(self) -> str:
        """The name of the system."""


class SystemWithJobs(LiveSystem, Protocol):
    """A running system that has agents, and so jobs."""

    @property
    def durability(self) -> JobsThatRun | None:
        """What is under way; None if nothing is recorded."""

    async def cancel_job(self, name: str) -> bool:
        """Cancel a job with all calls below it."""


class SystemOperator(Operator):
    """Asks the system that has the journal, so that what runs or waits there goes on or ends at once.

    Args:
        journal: The journal of the system.
        system: The system. If it has no agents, nothing of a job runs in it.
    """

    def __init__(self, journal: SqliteJournal, system: LiveSystem) -> None:
        super().__init__(journal)
        self._with_jobs: SystemWithJobs | None = system if hasattr(system, "cancel_job") else None  # type: ignore[assignment]

    async def _cancel(self, change: ChangeJob) -> None:
        if self._with_jobs is None:
            await super()._cancel(change)
        elif await self._with_jobs.cancel_job(change.name):
            await self._journal.write(change)  # again, for who has cancelled it

    async def _check_at_rest(self, job: Job) -> None:
        running = self._with_jobs.durability if self._with_jobs is not None else None
        if running is not None and job.name in running.jobs:
            raise failed(f"job {job.name!r} runs now; cancel it first: miniagents jobs cancel {job.name}")
