"""Mailboxes: how many messages may wait, what happens to one too many, and in which order they are taken."""

import enum
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from miniagents.actors.messaging.entries import Enveloped, is_dead
from miniagents.actors.messaging.terminated import Terminated
from miniagents.errors import InvalidOptionError
from miniagents.messages import Message
from miniagents.supervision.checking import check_count, check_function


class Overflow(enum.Enum):
    """The policy of a full mailbox for one more message.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> mailbox = Mailbox(capacity=1, overflow=Overflow.REJECT)
        >>> async with ActorSystem() as system:
        ...     ref = system.spawn(Idle, name="idle", options=SpawnOptions(mailbox=mailbox))
        ...     ref.tell(TextMessage("first"))
        ...     ref.tell(TextMessage("second"))
        Traceback (most recent call last):
        miniagents.errors.MailboxFullError: /idle: mailbox is full (1 messages); await send() or raise its capacity
    """

    BACKPRESSURE = "backpressure"
    """`tell` raises `MailboxFullError`, `await send` waits for room, `ask` fails."""
    REJECT = "reject"
    """`tell` and `send` raise `MailboxFullError`, `ask` fails; what was refused is a dead letter."""
    DROP_NEWEST = "drop_newest"
    """The message that comes is dropped."""
    DROP_OLDEST = "drop_oldest"
    """The message that has waited longest is dropped."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The mailbox of an actor, as a value.

    Args:
        capacity: How many messages may wait, 1 or more; None for no bound.
        overflow: What happens to a message that comes when `capacity` messages wait.
        priority: A function of the message; lower values are taken first, equal ones first come, first served. None
            for first in, first out.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> newest_only = Mailbox(capacity=1, overflow=Overflow.DROP_OLDEST)
        >>> async with ActorSystem() as system:
        ...     ref = system.spawn(Idle, options=SpawnOptions(mailbox=newest_only))
        ...     ref.tell(TextMessage("old"))
        ...     ref.tell(TextMessage("new"))
        ...     print([str(letter.message) for letter in system.dead_letters])
        ['old']
    """

    capacity: int | None = None
    overflow: Overflow = Overflow.BACKPRESSURE
    priority: Callable[[Message], float] | None = None

    def __post_init__(self) -> None:
        check_count("Mailbox(capacity=)", self.capacity, 1, or_none=True)
        if not isinstance(self.overflow, Overflow):
            raise InvalidOptionError(f"Mailbox(overflow=) must be one of Overflow, not {self.overflow!r}")
        check_function("Mailbox(priority=)", self.priority)

    def new_queue(self) -> "deque[Any] | PriorityQueue":
        """A fresh, empty queue of this kind. A plain deque, and no subclass, is that of a mailbox without bound and
        order: nothing has to be checked before a message is put into it."""
        if self.priority is not None:
            return PriorityQueue(self.priority)
        return deque() if self.capacity is None else BoundedQueue()


class BoundedQueue(deque[Enveloped]):
    """The queue of a mailbox with a capacity, which whoever puts something in must look at first."""

    __slots__ = ()

    @property
    def first(self) -> Enveloped:
        """The next entry."""
        return self[0]


class PriorityQueue:
    """The part of `deque` that a mailbox needs, in the order of priorities."""

    __slots__ = ("_back", "_front", "_heap", "_priority")

    def __init__(self, priority: Callable[[Message], float]) -> None:
        self._heap: list[tuple[float, int, Enveloped]] = []
        self._priority = priority
        self._back = itertools.count()
        self._front = itertools.count(-1, -1)

    def append(self, envelope: Enveloped) -> None:
        """Put it behind those of the same priority; that an actor has ended, behind all that waits now."""
        if isinstance(envelope.message, Terminated):  # it is the runtime's own: the function need not know it
            priority = max((entry[0] for entry in self._heap), default=-math.inf)
        else:
            priority = self._priority(envelope.message)
        heapq.heappush(self._heap, (priority, next(self._back), envelope))

    def append_last(self, envelope: Enveloped) -> None:
        """Put it behind all."""
        heapq.heappush(self._heap, (math.inf, next(self._back), envelope))

    def appendleft(self, envelope: Enveloped) -> None:
        """Put it back in front of all: it is tried again before anything else."""
        heapq.heappush(self._heap, (-math.inf, next(self._front), envelope))

    def popleft(self) -> Enveloped:
        """Take the next."""
        return heapq.heappop(self._heap)[2]

    @property
    def first(self) -> Enveloped:
        """The next entry."""
        return self._heap[0][2]

    def oldest_at(self) -> float | None:
        """Return when the message came that waits longest; None if none waits."""
        return min((entry[2].at for entry in self._heap if not is_dead(entry[2])), default=None)

    def keep(self, wanted: Callable[[Enveloped], bool]) -> None:
        """Throw out all others; the order of those that stay is what it was."""
        self._heap = [entry for entry in self._heap if wanted(entry[2])]
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Enveloped]:
        return (entry[2] for entry in sorted(self._heap, key=lambda entry: entry[:2]))
