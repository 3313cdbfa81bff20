"""`SystemOperator`: what an operator asks of a system that runs with a journal."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from miniagents.control.protocol import failed
from miniagents.journal.changes import JobChanges
from miniagents.journal.jobs import ChangeJob, Job
from miniagents.journal.operating.operator import Operator
from miniagents.journal.sqlite import SqliteJournal
from miniagents.journal.waits import Wait
from miniagents.messages import Message


class LettersOfSystem(Protocol):
    """The dead letters in the journal of a running system."""

    async def resend(self, number: int) -> bool:
        """Have a dead letter handled again."""

    async def drop(self, number: int) -> bool:
        """Throw a dead letter away."""


class DeadLettersOfSystem(Protocol):
    """The dead letters of a running system."""

    @property
    def durable(self) -> LettersOfSystem:
        """Those in the journal."""


class JobsThatRun(Protocol):
    """What is under way in a system."""

    @property
    def jobs(self) -> Mapping[str, Any]:
        """The jobs that run now, by their names."""


class OpenWaits(Protocol):
    """What the calls of a system wait for."""

    async def open_waits(self, job: str | None) -> Sequence[Wait]:
        """Return the waits of a job, or of all (None)."""


class LiveSystem(Protocol):
    """A running system, as an operator sees it."""

    @property
    def name(self) -> str:
        """The name of the system."""

    @property
    def dead_letters(self) -> DeadLettersOfSystem:
        """Its dead letters."""


class SystemOfAgents(LiveSystem, Protocol):
    """A running system with agents, and so with jobs and waits."""

    @property
    def durability(self) -> JobsThatRun | None:
        """What is under way; None if nothing is recorded."""

    @property
    def answers(self) -> OpenWaits:
        """What its calls wait for."""

    async def changes_of_job(self, name: str) -> JobChanges:
        """Compare the agents that a job has run with the code of the program."""

    async def cancel_job(self, name: str) -> bool:
        """Cancel a job with all calls below it."""

    async def deliver(self, job: str, name_or_id: str, message: Message, *, by: str | None) -> str | None:
        """Answer a wait, and wake the call that waits."""


class SystemOperator(Operator):
    """Asks the system that has the journal, so that what runs or waits there goes on or ends at once.

    Args:
        journal: The journal of the system.
        system: The system. If it has no agents, nothing of a job runs in it.
    """

    def __init__(self, journal: SqliteJournal, system: LiveSystem) -> None:
        agents: SystemOfAgents | None = system if hasattr(system, "cancel_job") else None  # type: ignore[assignment]
        super().__init__(journal, (lambda _, job: agents.changes_of_job(job)) if agents is not None else None)
        self._system = system
        self._of_agents = agents

    async def _cancel(self, change: ChangeJob) -> None:
        if self._of_agents is None:
            await super()._cancel(change)
        elif await self._of_agents.cancel_job(change.name):
            await self._journal.write(change)  # again, for who has cancelled it

    async def _open_waits(self, job: str | None) -> Sequence[Wait]:
        if self._of_agents is None:
            return await super()._open_waits(job)
        return await self._of_agents.answers.open_waits(job)

    async def _deliver(self, job: str, name_or_id: str, message: Message, by: str) -> str | None:
        if self._of_agents is None:
            return await super()._deliver(job, name_or_id, message, by)
        return await self._of_agents.deliver(job, name_or_id, message, by=by)

    async def _resend(self, number: int) -> bool:
        return await self._system.dead_letters.durable.resend(number)

    async def _drop(self, number: int) -> bool:
        return await self._system.dead_letters.durable.drop(number)

    async def _check_at_rest(self, job: Job) -> None:
        running = self._of_agents.durability if self._of_agents is not None else None
        if running is not None and job.name in running.jobs:
            raise failed(f"job {job.name!r} runs now; cancel it first: miniagents jobs cancel {job.name}")
