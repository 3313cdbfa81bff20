"""What an operator is shown, as values that JSON can carry. Times are seconds since the epoch."""

from typing import Any

import msgspec

from miniagents.journal.jobs import Job
from miniagents.journal.mail import StoredLetter
from miniagents.journal.operating.showing import shown
from miniagents.journal.pending_wait import text_of
from miniagents.journal.retention import Counts
from miniagents.journal.rows import Row
from miniagents.journal.waits import Wait

_SHORT = 500
"""Characters of a text in a list."""


class JobView(msgspec.Struct, frozen=True):
    """A job.

    Attributes:
        name: Its name.
        agent: The identity of its agent.
        state: "running", "finished", "failed", "cancelled" or "stuck".
        started_at: When it was started first.
        changed_at: When its state changed last.
        detail: What the state needs to be told: the error, who has cancelled it; None for nothing.
    """

    name: str
    agent: str
    state: str
    started_at: float
    changed_at: float
    detail: Any

    @classmethod
    def of(cls, job: Job) -> "JobView":
        """Return the view of a job."""
        detail = shown(job.detail, text=_SHORT) if job.detail else None
        return cls(job.name, job.agent, job.state.value, job.started_at, job.changed_at, detail)


class WaitView(msgspec.Struct, frozen=True):
    """A wait for an answer from outside.

    Attributes:
        id: Its id within its job: `name#row.number`.
        job: The name of the job, "" for none.
        name: The name that the call waits for.
        row: The row of the call.
        number: The number of the wait among those of the same name in this row.
        agent: The path of the agent.
        prompt: What is asked, or None.
        type: The type that the answer is to have, "" for any.
        since: When the wait was opened first.
        due_at: When it expires, or None.
        owner: On whose behalf the agent waits, or "".
    """

    id: str
    job: str
    name: str
    row: int
    number: int
    agent: str
    prompt: Any
    type: str
    since: float
    due_at: float | None
    owner: str

    @classmethod
    def of(cls, wait: Wait) -> "WaitView":
        """Return the view of a wait."""
        return cls(
            text_of(wait.id),
            wait.id.job,
            wait.id.name,
            wait.id.row,
            wait.id.number,
            wait.agent,
            shown(wait.prompt) if wait.prompt else None,
            wait.kind,
            wait.since,
            wait.due_at,
            wait.owner,
        )


class CallView(msgspec.Struct, frozen=True):
    """A call of a job.

    Attributes:
        row: The number of its row, which `Retry.from_` and `miniagents journal forget --from` take.
        parent: The row of the call that made it; 0 for the root of the job.
        agent: The name of the agent.
        state: "running", "finished", "failed" or "cancelled". A call that was cut off by the end of the process is
            running until the job goes on.
        attempts: How many times it has started.
        at: When it started last, or ended.
        error: What it failed with, or None.
    """

    row: int
    parent: int
    agent: str
    state: str
    attempts: int
    at: float
    error: Any

    @classmethod
    def of(cls, row: Row) -> "CallView":
        """Return the view of a row."""
        error = shown(row.error, text=_SHORT) if row.error else None
        if isinstance(error, dict):
            error = error.get("error", error)  # the text of a `RecordedError`
        return cls(row.id, row.parent, row.agent, row.state.value, row.attempts, row.at, error)


class JobDetails(msgspec.Struct, frozen=True):
    """A job with what is recorded of it.

    Attributes:
        job: The job.
        rows: How many interactions it has, by state.
        calls: The calls that have failed or run, or all; the first 1,000 at most.
        waits: The waits that are open.
    """

    job: JobView
    rows: dict[str, int]
    calls: tuple[CallView, ...]
    waits: tuple[WaitView, ...]


class LetterView(msgspec.Struct, frozen=True):
    """A dead letter.

    Attributes:
        id: Its number.
        receiver: The path of the actor.
        type: The type of the message.
        reason: Why it is dead.
        error: What went wrong.
        attempts: How many times the message has crashed its receiver, with the last attempt.
        message_id: The sender's id of the message, or None.
        accepted_at: When the message was accepted.
        buried_at: When it became a dead letter.
        size: The bytes of the message.
        message: The message, where it was asked for; else None.
    """

    id: int
    receiver: str
    type: str
    reason: str
    error: str
    attempts: int
    message_id: str | None
    accepted_at: float
    buried_at: float
    size: int
    message: Any = None

    @classmethod
    def of(cls, letter: StoredLetter, *, with_message: bool = False) -> "LetterView":
        """Return the view of a dead letter."""
        envelope = letter.envelope
        error = letter.error if with_message else letter.error[:_SHORT]
        return cls(
            envelope.number,
            envelope.receiver,
            envelope.kind,
            letter.reason,
            error,
            envelope.attempts,
            envelope.message_id,
            envelope.at,
            letter.at,
            len(envelope.body),
            shown(envelope.body) if with_message else None,
        )


class StatsView(msgspec.Struct, frozen=True):
    """How much a journal holds.

    Attributes:
        path: The file.
        bytes: What it takes on the disk, with its log.
        counts: How many there are of each.
    """

    path: str
    bytes: int
    counts: Counts
