"""Timers in the journal: one for each actor and name, with an absolute due time."""

import msgspec

from miniagents.journal.operations import Operation, Query


class Timer(msgspec.Struct, frozen=True):
    """A timer of a durable actor.

    Attributes:
        actor: The path of the actor.
        name: The name, once for each actor.
        rule: When it is due, as text that the journal does not read: a delay, a period, a cron rule with its zone.
        due_at: When it is due next, in seconds since the epoch.
        body: The encoded message.
        kind: The name of the message's type.
        meta: What travels beside the message.
    """

    actor: str
    name: str
    rule: str
    due_at: float
    body: bytes
    kind: str = ""
    meta: bytes = b""


class Schedule(Operation[Timer], frozen=True):
    """Make a timer. The result is the timer as it stands in the journal.

    A timer of the same actor, name, rule and message stays as it is, with its due time. One with another rule or
    message is replaced. So an actor can schedule at every start.
    """

    timer: Timer


class Advance(Operation[None], frozen=True):
    """Set the next due time of a timer. For one that is not there nothing happens.

    A tick is `write(Accept(...), Advance(...))`: the envelope is accepted once, whatever is killed.
    """

    actor: str
    name: str
    due_at: float


class Unschedule(Operation[None], frozen=True):
    """Remove a timer of an actor, or all of its timers (`name=None`)."""

    actor: str
    name: str | None = None


class Timers(Query[tuple[Timer, ...]], frozen=True):
    """The timers of one actor, or of all (None), those that are due first at the front."""

    actor: str | None = None
