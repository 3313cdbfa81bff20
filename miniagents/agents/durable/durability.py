"""`Durability`: what the calls of a system with a journal share."""

from typing import Any, Protocol

from miniagents.actors.cells.cell import Cell
from miniagents.agents.agent import MiniAgent
from miniagents.agents.durable.class_cell import DurableClassAgentCell, stable_name
from miniagents.agents.durable.identity import Identity
from miniagents.agents.durable.records import log_failed_write
from miniagents.agents.host import AgentHost
from miniagents.errors import JournalError
from miniagents.journal import Journal, Operation, Record
from miniagents.log import log as _log

VERSION = "version"
"""The kind of the records of a root that tell which version of an agent its job has run. Name and version are the key,
and there is no value: it is nothing that was paid for, so a job that has got no further has made no progress."""


class JobSettings(Protocol):
    """A job that runs, as its calls see it."""

    adopts: bool
    root: int
    thrown_away: tuple[int, ...]
    versions: dict[str, str]


class Durability:
    """What the calls of a system with a journal share.

    Args:
        journal: The journal.
        records_all: Whether the calls of all agents are recorded.

    Attributes:
        journal: As above.
        records_all: As above.
        jobs: The jobs that run or are passive, by their names.
        passivation: The passive ones: `Passivation`.
    """

    def __init__(self, journal: Journal, *, records_all: bool) -> None:
        self.journal = journal
        self.records_all = records_all
        self.jobs: dict[str, Any] = {}
        self.passivation: Any = None

    @property
    def patience(self) -> float:
        """Seconds that a call waits to find out which of several recorded ones it is."""
        return self.journal.patience

    def keeps(self, agent: MiniAgent) -> bool:
        """Return True for a class agent whose mailbox and state are in the journal."""
        wrapped = agent.wrapped
        return agent.is_class and (agent.options.spawn.durable or (self.records_all and hasattr(wrapped, "snapshot")))

    def new_class_cell(
        self, system: AgentHost, parent: Cell, name: str, agent: MiniAgent, is_activated: bool
    ) -> DurableClassAgentCell:
        """Make the cell of such an agent."""
        return DurableClassAgentCell(system, parent, name, agent, is_activated=is_activated)

    def name_of_cell(self, above: Cell, agent: MiniAgent) -> str:
        """Return the name of the cell that the first use of such an agent makes; see `stable_name`."""
        return stable_name(above, agent)

    def write(self, first: Operation[Any], *more: Operation[Any]) -> None:
        """Write something that nobody waits for. A failure is logged: what was to be written will be paid for again."""
        try:
            self.journal.write(first, *more).add_done_callback(log_failed_write)
        except JournalError as error:  # it is closed: the system has ended
            _log.warning("journal.not_written", error=str(error))

    def adopts(self, job: str) -> bool:
        """Return True if calls of a job are adopted from below changed code."""
        settings: JobSettings | None = self.jobs.get(job)
        return settings is not None and settings.adopts

    def was_interrupted(self, job: str, row: int) -> bool:
        """Return True if an earlier process was killed in a running row of a job, and the row was not only passive."""
        settings: JobSettings | None = self.jobs.get(job)
        return settings is None or row not in settings.thrown_away

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
        key = f"{identity.name}\n{identity.version}".encode()
        return (Record(settings.root, VERSION, key, self.journal.next_id()),)
