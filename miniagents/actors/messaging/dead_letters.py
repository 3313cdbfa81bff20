"""Dead letters: messages that reached nobody, each with its reason."""

import collections
import enum
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from miniagents.actors.messaging.durable_letters import DurableLetters
from miniagents.actors.messaging.ref import ActorRef
from miniagents.errors import JournalError
from miniagents.messages import error_text


class DeadLetterReason(enum.Enum):
    """The reason why a message reached nobody.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     ref = system.spawn(Idle)
        ...     reason = await ref.stop()
        ...     ref.tell(TextMessage("too late"))
        ...     print(system.dead_letters.counts[DeadLetterReason.STOPPED])
        1
    """

    STOPPED = "stopped"
    """The receiver had ended, was ending, or ended before it came to the message."""
    DROPPED = "dropped"
    """A full mailbox dropped it."""
    REJECTED = "rejected"
    """A full mailbox refused it."""
    NOT_WRITTEN = "not_written"
    """The journal of its durable receiver could not write it."""
    EXPIRED = "expired"
    """The deadline of the ask passed while it waited."""
    POISONOUS = "poisonous"
    """The message crashed its receiver in the last of its attempts (`RetryPolicy.attempts`, `poison_after`)."""
    SUPERVISOR = "supervisor"
    """The receiver is a supervisor, which handles no messages."""
    UNHANDLED = "unhandled"
    """The receiver had no case for the message, and said so with `ctx.unhandled`."""
    REPLIED_TWICE = "replied_twice"
    """The message was a second reply to the same message."""
    UNREADABLE = "unreadable"
    """The message came from another node and could not be decoded on this one: its type is not known, or has other
    fields. In its place there is an `ErrorMessage` that says what is wrong."""


class DeadLetter(msgspec.Struct, frozen=True, eq=False):
    """A message that reached nobody.

    Attributes:
        reason: The reason why it reached nobody.
        message: The message.
        receiver: The actor that it was for.
        sender: The actor that sent it, or None from outside.
        dropped_at: The time when it became a dead letter, in seconds since the epoch.
        id: The number of the dead letter, which no other one of its system has had.
        error: The error that the message crashed its receiver with in the last attempt, as "ValueError: no such
            file"; None unless the reason is POISONOUS.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     ref = system.spawn(Idle, name="idle")
        ...     reason = await ref.stop()
        ...     ref.tell(TextMessage("too late"))
        ...     (letter,) = system.dead_letters
        >>> print(letter.message, letter.receiver.path, letter.reason)
        too late /idle DeadLetterReason.STOPPED
    """

    reason: DeadLetterReason
    message: Any
    receiver: ActorRef
    sender: ActorRef | None
    dropped_at: float = msgspec.field(default_factory=time.time)
    id: int = 0
    error: str | None = None


class Lost(Protocol):
    """The envelope of a message that reached nobody."""

    @property
    def message(self) -> Any:
        """The message."""

    @property
    def sender(self) -> ActorRef | None:
        """The actor that sent it, or None."""


class DeadLetters:
    """The dead letters of a system: the last ones whole, all of them counted.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     ref = system.spawn(Idle, name="idle")
        ...     reason = await ref.stop()
        ...     ref.tell(TextMessage("too late"))
        ...     (letter,) = system.dead_letters
        ...     print(system.dead_letters.resend(letter.id))  # the receiver is still dead
        ...     print(system.dead_letters.drop(letter.id), len(system.dead_letters))
        False
        True 0

    Args:
        keep: How many are kept, 0 or more.
        on_letter: Called with each.

    Attributes:
        most: How many are kept at most.
        on_disk: The dead letters in the journal; None without a journal. See `durable`.
    """

    def __init__(self, keep: int, on_letter: Callable[[DeadLetter], None]) -> None:
        self._letters: collections.OrderedDict[int, DeadLetter] = collections.OrderedDict()
        self._ids = itertools.count(1)
        self._on_letter = on_letter
        self.most = keep
        self.on_disk: DurableLetters | None = None
        self.counts: collections.Counter[DeadLetterReason] = collections.Counter()
        """How many there were, by reason."""

    @property
    def durable(self) -> DurableLetters:
        """The dead letters of durable actors, which the journal keeps.

        Raises:
            JournalError: The system has no journal, or has not started.
        """
        if self.on_disk is None:
            raise JournalError("the dead letters in a journal are those of a system that runs with journal=")
        return self.on_disk

    @property
    def total(self) -> int:
        """The number of all dead letters, those that are not kept included."""
        return self.counts.total()

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._letters.values()))

    def get(self, id: int) -> DeadLetter | None:
        """Return the dead letter with this id; None if it is not kept any more."""
        return self._letters.get(id)

    def drop(self, id: int) -> bool:
        """Keep a dead letter no longer.

        Returns:
            False if it was not kept any more.
        """
        return self._letters.pop(id, None) is not None

    def resend(self, letter: DeadLetter | int) -> bool:
        """Send a dead letter again, and take it out once its receiver has accepted it. For a receiver that is still
        dead it stays where it is.

        Args:
            letter: The dead letter, or its id.

        Returns:
            False if the receiver has not accepted it.

        Raises:
            LookupError: The dead letter with this id is not kept any more.
            MailboxFullError: The receiver's mailbox is full, and refuses it.
        """
        if isinstance(letter, int):
            kept = self._letters.get(letter)
            if kept is None:
                raise LookupError(f"the dead letter {letter} is not kept any more")
            letter = kept
        is_kept = self._letters.get(letter.id) is letter
        if is_kept and not letter.receiver.is_alive:
            return False
        total, is_over = self.total, False
        try:
            letter.receiver.tell(letter.message)
            is_over = True
        finally:
            if is_kept and (is_over or self.total > total):  # accepted, or a new one is in its place
                self._letters.pop(letter.id, None)
        return self.total == total

    def add(
        self, reason: DeadLetterReason, envelope: Lost, receiver: ActorRef, error: BaseException | None = None
    ) -> None:
        """Keep and count a message that reached nobody.

        Args:
            reason: The reason why it reached nobody.
            envelope: The envelope of the message.
            receiver: The actor that it was for.
            error: The error that it crashed its receiver with, if it did.
        """
        said = None if error is None else error_text(error)
        letter = DeadLetter(reason, envelope.message, receiver, envelope.sender, id=next(self._ids), error=said)
        self.counts[reason] += 1
        if self.most:
            if len(self._letters) >= self.most:
                self._letters.popitem(last=False)
            self._letters[letter.id] = letter
        self._on_letter(letter)
