"""The entries of a mailbox: what its queue holds, and the tests that tell one kind from another.

There are four kinds. A message from outside to an unbounded mailbox waits bare, as itself: only the time travels with
it, as one float for all messages that came in the same turn of the loop. Every other message has an envelope. An ask is
its own envelope::

    front                                                                                      back
    | 17.25 | Add(1) | Add(2) | Envelope(Add(3)) | Ask(Read()) | 17.31 | Add(4) | Ask(BARRIER) |
      |       |                 |                  |                               |
      |       |                 |                  |                               the runtime's own, as `Terminated` is
      |       |                 |                  the promise of the answer, and the envelope of the question
      |       |                 sender, deadline, trace, correlation id, an ask that is not its own envelope
      |       a bare message: it came at 17.25
      a time stamp: the bare messages up to the next one came then

An entry is dead if its ask has ended, or if the message is not wanted any more (its `ask` is `WITHDRAWN`). The mailbox
throws a dead entry away unread. `ReceivingCell.dead_entries` counts the time stamps and the dead entries.

The two loops that take every message (`ActorCell.turn`, `ActorRef.tell`) write these tests out: a call for each message
would cost more than all the rest of the loop (benchmark `tell`). A priority queue and a bounded one hold envelopes and
asks alone.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.envelope import Envelope
from miniagents.actors.messaging.terminated import Terminated
from miniagents.messages.meta import MessageMeta

Enveloped = Envelope | Ask[Any]
"""The type of an entry that is an envelope."""

ENVELOPES: frozenset[Any] = frozenset({Envelope, Ask})
"""The classes of entries that are envelopes: `entry.__class__ in ENVELOPES` is `has_envelope(entry)` without a call."""


class Barrier:
    """A message of the runtime: when its ask is answered, everything before it was handled."""


BARRIER = Barrier()


class _Withdrawn:
    """Stands in the place of the ask of a message that is not wanted any more, and looks like one that has ended."""

    def done(self) -> bool:
        """Return True."""
        return True


WITHDRAWN: Any = _Withdrawn()


def has_envelope(entry: object) -> TypeGuard[Enveloped]:
    """Return True for an `Envelope` or an `Ask`, False for a bare message, a time stamp or None."""
    return entry.__class__ in ENVELOPES


def in_envelope(entry: object, at: float) -> Enveloped:
    """Return an entry that is no time stamp as an envelope.

    Args:
        entry: An envelope, an ask, or a bare message.
        at: The time at which it came if it is bare.
    """
    return entry if has_envelope(entry) else Envelope(entry, at=at)


def is_dead(entry: Any) -> bool:
    """Return True for an ask that has ended and a message that is not wanted any more."""
    return entry.__class__ in ENVELOPES and entry.ask is not None and entry.ask.done()


def is_of_the_runtime(envelope: Enveloped) -> bool:
    """Return True for a message of the runtime: no capacity counts it, and it is never a dead letter."""
    return envelope.message is BARRIER or isinstance(envelope.message, Terminated)


def is_of_a_user(envelope: Enveloped) -> bool:
    """Return True for a message that somebody sent: no message of the runtime, and no call of an agent."""
    kind = type(envelope.message)
    return type(kind) is MessageMeta and kind is not Terminated  # isinstance() takes thrice as long


def may_be_dropped(envelope: Enveloped) -> bool:
    """Return True for an entry that may make room for a newer one: a message of a user in its first attempt."""
    return not envelope.crashes and not is_of_the_runtime(envelope)


def living(queue: Iterable[object], at: float) -> Iterator[tuple[object, float]]:
    """Return the messages that wait, bare or in their envelopes, each with the time of the last stamp before it.

    Args:
        queue: The queue of a mailbox, or nothing.
        at: The time of the last stamp that was taken from it.
    """
    for entry in queue:
        if entry.__class__ is float:
            at = entry
        elif not is_dead(entry):
            yield entry, at


def number_of_stamps(queue: Iterable[object]) -> int:
    """Return how many time stamps are in a queue."""
    return sum(entry.__class__ is float for entry in queue)
