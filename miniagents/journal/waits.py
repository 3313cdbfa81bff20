"""Waits in the journal: what a job waits for from outside, and the answers to it.

A wait has an id (job, row, name, number). An answer may come before the wait, and is kept for it. A wait is answered
once, and the answer is consumed in the same transaction as what the interaction records of it, so that an interaction
that fails in between finds it again.
"""

import enum
import time
from collections.abc import Sequence

import msgspec

from miniagents.journal.operations import Operation, Query


class WaitState(enum.Enum):
    """How far a wait is."""

    WAITING = "waiting"
    ANSWERED = "answered"
    CONSUMED = "consumed"
    EXPIRED = "expired"
    CLOSED = "closed"
    """Its job has ended, or the interaction waits no more."""


WITH_ANSWER = (WaitState.ANSWERED, WaitState.CONSUMED)
"""The states of a wait that was answered."""


class WaitId(msgspec.Struct, frozen=True, order=True):
    """The id of a wait.

    Attributes:
        job: The name of the job.
        row: The row of the interaction.
        name: The name that the interaction waits for.
        number: The number of the wait among those of the same name in this row.
    """

    job: str
    row: int
    name: str
    number: int = 0


class GivenAnswer(msgspec.Struct, frozen=True):
    """An answer from outside.

    Attributes:
        body: The encoded message.
        kind: The name of the message's type.
        by: Who has given it.
        at: When, in seconds since the epoch.
    """

    body: bytes
    kind: str = ""
    by: str = ""
    at: float = msgspec.field(default_factory=time.time)


class Wait(msgspec.Struct, frozen=True):
    """A wait.

    Attributes:
        id: Its id.
        agent: The path of the agent, for people.
        prompt: The encoded prompt, for people.
        kind: The name of the type that the answer is to have, or "" for any.
        due_at: When it expires, in seconds since the epoch, or None.
        since: When it was opened first, in seconds since the epoch.
        state: How far it is.
        answer: The answer, or None.
        owner: The name of the user on whose behalf the interaction waits, or "".
    """

    id: WaitId
    agent: str = ""
    prompt: bytes = b""
    kind: str = ""
    due_at: float | None = None
    since: float = msgspec.field(default_factory=time.time)
    state: WaitState = WaitState.WAITING
    answer: GivenAnswer | None = None
    owner: str = ""


class OpenWait(Operation[Wait], frozen=True):
    """Open a wait. The result is the wait as it stands in the journal.

    One that was opened before keeps its time, its due time and its answer; one that was closed waits again. A fresh
    one takes the oldest answer that was given early under its name.
    """

    wait: Wait


class ConsumeAnswer(Operation[bool], frozen=True):
    """Consume the answer of a wait. The result is False if the wait has none, or it was consumed before."""

    id: WaitId


class EndWait(Operation[Wait | None], frozen=True):
    """End a wait that has no answer yet, as `EXPIRED` or `CLOSED`.

    The result is the wait as it then stands, which tells an answer that came first, or None if there is no such wait.
    """

    id: WaitId
    state: WaitState


class ReleaseWaits(Operation[None], frozen=True):
    """Remove the waits of a row whose code has changed, and keep their answers for the waits of the same name that the
    job opens next, in their order."""

    job: str
    row: int


class Delivery(enum.Enum):
    """What became of an answer."""

    DELIVERED = "delivered"
    """A wait has it."""
    KEPT = "kept"
    """Nothing waits under the name yet; it is kept."""
    TAKEN = "taken"
    """Refused: there is an answer already, and `Delivered.waits` says by whom."""
    AMBIGUOUS = "ambiguous"
    """Refused: several waits have the name, and they are in `Delivered.waits`."""
    WRONG_KIND = "wrong_kind"
    """Refused: the wait, in `Delivered.waits`, is for another type."""
    ENDED = "ended"
    """Refused: the job has ended without an answer to this, or the wait has expired or is closed."""
    UNKNOWN = "unknown"
    """Refused: there is no such job, or no such wait."""


class Delivered(msgspec.Struct, frozen=True):
    """The answer to `Deliver`.

    Attributes:
        delivery: What became of it.
        waits: The waits that it is about.
    """

    delivery: Delivery
    waits: tuple[Wait, ...] = ()


def refused_by_ended(waits: Sequence[Wait]) -> Delivered:
    """Return why an answer to a job that has ended is refused: there was one before, or the job has ended without.

    Args:
        waits: The waits of the job that are meant.
    """
    if waits and all(wait.state in WITH_ANSWER for wait in waits):
        return Delivered(Delivery.TAKEN, tuple(waits))
    return Delivered(Delivery.ENDED)


class Deliver(Operation[Delivered], frozen=True):
    """Answer a wait of a job: the one with this id, or the only one with this name.

    An early answer is `TAKEN` if one is kept already, or if the name was answered and no wait of it is open.
    Interactions without a job have the job "", which is always there.

    Args:
        job: The name of the job.
        target: The id, or the name.
        answer: The answer.
        kinds: The names of the types that the answer is an instance of; a wait with a `kind` takes one of them only.
    """

    job: str
    target: WaitId | str
    answer: GivenAnswer
    kinds: tuple[str, ...] = ()


class Waits(Query[tuple[Wait, ...]], frozen=True):
    """The waits of one job, or of all (None), in one of the states, sorted by time and id."""

    job: str | None = None
    states: tuple[WaitState, ...] = (WaitState.WAITING,)
