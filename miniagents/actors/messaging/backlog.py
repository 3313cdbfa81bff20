"""The backlog of an actor: what waits in its mailbox, seen without an envelope for each entry."""

from collections import Counter, deque
from itertools import islice
from typing import Any

import msgspec

from miniagents.actors.messaging.entries import BARRIER, has_envelope, living
from miniagents.actors.messaging.mailbox import PriorityQueue


class Backlog(msgspec.Struct, frozen=True):
    """What waits for one actor at one moment.

    Attributes:
        count: The number of messages that wait.
        oldest_age: The seconds that the one has waited that came first; None if none waits.
        types: The names of the messages' classes, each with its number, for those that were looked at; in the order
            in which the first of each class will be handled.
        looked_at: The number of messages that were looked at, from the next one on.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     ref = system.spawn(Idle)
        ...     ref.tell(TextMessage("Hello"))
        ...     backlog = system.backlog(ref.path)
        >>> backlog.count, backlog.types
        (1, {'TextMessage': 1})
    """

    count: int
    oldest_age: float | None
    types: dict[str, int]
    looked_at: int


def backlog(queue: "deque[Any] | PriorityQueue | None", count: int, at: float, now: float, limit: int) -> Backlog:
    """Return what is in the queue of a mailbox.

    The cost is that of the messages that are looked at, however many wait; a mailbox with priorities is sorted first.

    Args:
        queue: The queue; None if there is none.
        count: The number of messages in it.
        at: The time of the last stamp that was taken from it.
        now: The time now, on the same clock.
        limit: The number of messages to look at, 0 or more.
    """
    types: Counter[str] = Counter()
    for entry, _ in islice(living(queue or (), at), limit):
        message = entry.message if has_envelope(entry) else entry
        types["(the runtime's own)" if message is BARRIER else type(message).__name__] += 1
    oldest = oldest_at(queue, at)
    return Backlog(
        count=count,
        oldest_age=None if oldest is None else max(0.0, now - oldest),
        types=dict(types),
        looked_at=types.total(),
    )


def oldest_at(queue: "deque[Any] | PriorityQueue | None", at: float) -> float | None:
    """Return when the message came that waits longest; None if none waits.

    It is the first one, but in a mailbox with priorities: there all that wait are looked at.

    Args:
        queue: The queue; None if there is none.
        at: The time of the last stamp that was taken from it.
    """
    if not queue:
        return None
    if isinstance(queue, PriorityQueue):
        return queue.oldest_at()
    for entry, came_at in living(queue, at):
        return entry.at if has_envelope(entry) else came_at
    return None
