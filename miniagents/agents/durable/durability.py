"""`Durability`: what the calls of a system with a journal share."""

import asyncio
from typing import Any, Protocol

import structlog

from miniagents.agents.durable.identity import Identity
from miniagents.errors import JournalError
from miniagents.journal import Journal, Operation, Record

_log = structlog.get_logger("miniagents")

VERSION = "version"
"""The kind of the records of a root that tell which version of an agent its job has run."""


class JobSettings(Protocol):
    """A job that runs, as its calls see it."""

    adopts: bool
    root: int
    versions: dict[str, str]


class Durability:
    """What the calls of a system with a journal share.

    Args:
        journal: The journal.
        records_all: Whether the calls of all agents are recorded.

    Attributes:
        journal: As above.
        records_all: As above.
        jobs: The jobs that run, by their names.
    """

    def __init__(self, journal: Journal, *, records_all: bool) -> None:
        self.journal = journal
        self.records_all = records_all
        self.jobs: dict[str, Any] = {}

    @property
    def patience(self) -> float:
        """Seconds that a call waits to find out which of several recorded ones it is."""
        return self.journal.patience

    def write(self, first: Operation[Any], *more: Operation[Any]) -> None:
        """Write something that nobody waits for. A failure is logged: what was to be written will be paid for again."""
        try:
            self.journal.write(first, *more).add_done_callback(_written)
        except JournalError as error:  # it is closed: the system has ended
            _log.warning("journal.not_written", error=str(error))

    def adopts(self, job: str) -> bool:
        """Return True if calls of a job are adopted from below changed code."""
        settings: JobSettings | None = self.jobs.get(job)
        return settings is not None and settings.adopts

    def versions(self, job: str, row: int, identity: Identity) -> tuple[Operation[Any], ...]:
        """Return what records the version of an agent that a job runs, once for each agent.

        Args:
            job: The name of the job.
            row: The row of the call, which is the root if it is the first call of the job.
            identity: The agent.
        """
        settings: JobSettings | None = self.jobs.get(job)
        if settings is None or settings.versions.get(identity.name) == identity.version:
            return ()
        settings.root = settings.root or row
        settings.versions[identity.name] = identity.version
        return (Record(settings.root, VERSION, identity.name.encode(), 0, identity.version.encode()),)


def _written(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        _log.error("journal.not_written", error=str(error))
