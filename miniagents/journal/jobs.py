"""Jobs in the journal: named roots of interactions."""

import enum
import time

import msgspec

from miniagents.journal.operations import Operation, Query


class JobState(enum.Enum):
    """How far a job is."""

    RUNNING = "running"
    """It was started and has not ended. In a process that was killed it is to be resumed."""
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """A user has cancelled it, and it is not resumed."""
    STUCK = "stuck"
    """It has killed its process too often, and is not resumed until a user frees it."""


class Job(msgspec.Struct, frozen=True):
    """A job.

    Attributes:
        name: Its name.
        agent: The identity of its agent.
        input_key: What has to be equal where the job is run again under its name: a hash of its input and arguments.
        input: The encoded input and arguments, from which it can be resumed.
        state: How far it is.
        detail: What the state needs to be told: an encoded error, who has cancelled it.
        started_at: When it was started first, in seconds since the epoch.
        changed_at: When its state changed last, in seconds since the epoch.
    """

    name: str
    agent: str
    input_key: bytes
    input: bytes
    state: JobState
    detail: bytes
    started_at: float
    changed_at: float


class StartJob(Operation[Job | None], frozen=True):
    """Start a job under a name. The result is None if the name is new: its work has begun, as by `Begin`.

    Otherwise nothing changes, and the result is the job that has the name: the caller compares agent and input.
    """

    name: str
    agent: str
    input_key: bytes
    input: bytes
    at: float = msgspec.field(default_factory=time.time)


class ChangeJob(Operation[bool], frozen=True):
    """Set the state of a job. The result is False if there is no such job.

    A job that is `FINISHED`, `FAILED` or `CANCELLED` waits for nothing: its open waits are closed.
    """

    name: str
    state: JobState
    detail: bytes = b""
    at: float = msgspec.field(default_factory=time.time)


class Forget(Operation[int], frozen=True):
    """Throw away a row of a job and all below it, or all of its rows (`row=0`). The result is how many rows.

    Answers that were given to their waits are kept for the waits of the same name that the job opens next, unless
    `keep_answers` is False.
    """

    job: str
    row: int = 0
    keep_answers: bool = True


class DeleteJob(Operation[bool], frozen=True):
    """Remove a job and everything of it that nobody else needs. The result is False if there is no such job."""

    name: str


class JobOf(Query[Job | None], frozen=True):
    """A job, or None."""

    name: str


class Jobs(Query[tuple[Job, ...]], frozen=True):
    """The jobs in the order of their first start: those in one of the states, or all (`states=()`)."""

    states: tuple[JobState, ...] = ()
