"""Mailboxes in the journal: accepted envelopes, message ids, and dead letters.

An envelope is accepted, perhaps attempted several times, and then handled or buried. A message id is remembered for
each receiver, with the outcome, so that a message that is sent again is answered and not handled twice.
"""

import enum
import time

import msgspec

from miniagents.journal.operations import Operation, Query


class Standing(enum.Enum):
    """What the journal knows of a message that was to be accepted."""

    NEW = "new"
    """It was not known. It is accepted, and its envelope waits."""
    WAITING = "waiting"
    """Its id was accepted before, and the first envelope still waits."""
    HANDLED = "handled"
    """Its id was handled before; the outcome is recorded."""
    DEAD = "dead"
    """Its id was accepted before, and lies in the dead letters."""
    DROPPED = "dropped"
    """Its id was accepted before, and its dead letter was thrown away."""
    CONFLICT = "conflict"
    """Its id was accepted before with other content. It is refused."""


class Acceptance(msgspec.Struct, frozen=True, gc=False):
    """The answer to `Accept`.

    Attributes:
        standing: What the journal knows of the message. Only `NEW` has added an envelope.
        number: The number of the envelope that was accepted first under this message id.
        outcome: The recorded outcome of a message that was handled, else b"".
    """

    standing: Standing
    number: int
    outcome: bytes = b""


class Accept(Operation[Acceptance], frozen=True):
    """Accept an envelope.

    Args:
        number: Its number, from `next_id`: envelopes of a receiver are delivered in this order.
        receiver: The path of the actor.
        body: The encoded message.
        kind: The name of the message's type, which is shown where the body cannot be decoded.
        message_id: The sender's id of the message, or None. An id is the receiver's own: two receivers may get the
            same one.
        content_key: What has to be equal in messages with the same id.
        meta: What travels beside the message (sender, trace, deadline), as bytes that the journal does not read.
        at: When it was accepted, in seconds since the epoch.
    """

    number: int
    receiver: str
    body: bytes
    kind: str = ""
    message_id: str | None = None
    content_key: bytes = b""
    meta: bytes = b""
    at: float = msgspec.field(default_factory=time.time)


class CountAttempt(Operation[None], frozen=True):
    """Count that an envelope has crashed its receiver and will be delivered again."""

    receiver: str
    number: int


class Handle(Operation[None], frozen=True):
    """Acknowledge an envelope: it is gone, and its message id is remembered with the outcome.

    For an envelope that does not wait any more nothing happens.

    Args:
        receiver: The path of the actor.
        number: The number of the envelope.
        outcome: What a sender of the same message id is answered with.
        at: When it was handled, in seconds since the epoch: its id is forgotten `keep_ids_for` later.
    """

    receiver: str
    number: int
    outcome: bytes = b""
    at: float = msgspec.field(default_factory=time.time)


class Bury(Operation[None], frozen=True):
    """Move a waiting envelope into the dead letters.

    For an envelope that does not wait any more nothing happens.

    Args:
        receiver: The path of the actor.
        number: The number of the envelope, which becomes that of the dead letter.
        reason: Why: the word of a `DeadLetterReason`, or another one.
        error: What went wrong, as text.
        at: When, in seconds since the epoch.
        attempts: How many times it has crashed its receiver, with the last one; None for what `CountAttempt` has
            counted.
    """

    receiver: str
    number: int
    reason: str
    error: str = ""
    at: float = msgspec.field(default_factory=time.time)
    attempts: int | None = None


class Resend(Operation[bool], frozen=True):
    """Move a dead letter back into its mailbox, as a new envelope behind all others.

    The result is False if there is no such dead letter.

    Args:
        letter: The number of the dead letter.
        number: The number of the new envelope, from `next_id`.
    """

    letter: int
    number: int


class Drop(Operation[bool], frozen=True):
    """Throw a dead letter away. Its message id stays known as dropped.

    The result is False if there is no such dead letter.

    Args:
        letter: The number of the dead letter.
        at: When, in seconds since the epoch: its message id is forgotten `keep_ids_for` later.
    """

    letter: int
    at: float = msgspec.field(default_factory=time.time)


class StoredEnvelope(msgspec.Struct, frozen=True):
    """An envelope that was accepted and is not acknowledged.

    Attributes:
        number: Its number; the order of delivery.
        receiver: The path of the actor.
        body: The encoded message.
        kind: The name of the message's type.
        message_id: The sender's id of the message, or None.
        meta: What travels beside the message.
        attempts: How many times it has crashed its receiver (`CountAttempt`).
        at: When it was accepted, in seconds since the epoch.
    """

    number: int
    receiver: str
    body: bytes
    kind: str
    message_id: str | None
    meta: bytes
    attempts: int
    at: float


class StoredLetter(msgspec.Struct, frozen=True):
    """A dead letter.

    Attributes:
        envelope: The envelope as it waited last.
        reason: Why it is dead.
        error: What went wrong, as text.
        at: When it was buried, in seconds since the epoch.
    """

    envelope: StoredEnvelope
    reason: str
    error: str
    at: float


class Unacknowledged(Query[tuple[StoredEnvelope, ...]], frozen=True):
    """The waiting envelopes of a receiver in their order: those with a number above `after`, `limit` at most."""

    receiver: str
    after: int = 0
    limit: int = 1000


class Mailboxes(Query[tuple[tuple[str, int], ...]], frozen=True):
    """The receivers that have waiting envelopes, sorted, each with their count."""


class StandingOf(Query[Acceptance | None], frozen=True):
    """What is known of a message id (never `NEW` or `CONFLICT`), or None."""

    receiver: str
    message_id: str


class Letters(Query[tuple[StoredLetter, ...]], frozen=True):
    """The dead letters in the order of their numbers: of one receiver, or of all (None).

    Those with a number above `after`, `limit` at most.
    """

    receiver: str | None = None
    after: int = 0
    limit: int = 1000
