"""`Outcome`: what became of an entry that a mailbox has accepted."""

import enum

from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.entries import Enveloped
from miniagents.errors import AskTimeoutError


class Outcome(enum.Enum):
    """What became of an entry of a mailbox, when it leaves the mailbox for good.

    An entry that is tried again has no outcome yet. Its `crashes` say how many attempts there were.
    """

    HANDLED = "handled"
    """Its handler returned, or raised one of the actor's `errors`, which are answers."""
    CRASHED = "crashed"
    """Its handler raised, and there is no attempt left. With a `RetryPolicy` the message is poisonous."""
    CANCELLED = "cancelled"
    """Nobody wants it any more: its asker cancelled it or would have waited in a cycle, or its timer was cancelled."""
    EXPIRED = "expired"
    """Its deadline passed before it was handled."""
    DROPPED = "dropped"
    """A full mailbox dropped it for a newer one."""
    CUT_OFF = "cut_off"
    """The actor ended, alone or with its system, before it was handled. Nothing came of it, so that a mailbox on disk
    keeps it for the next actor of that path."""


def outcome_of(entry: Enveloped) -> Outcome:
    """Return what became of a question that its asker ended before its handler did.

    One that was answered, and whose handler was cut off then, has not been handled to the end.
    """
    error = entry.ask.settled_error if entry.ask.__class__ is Ask else None
    if error is None:
        return Outcome.CUT_OFF
    return Outcome.EXPIRED if isinstance(error, AskTimeoutError) else Outcome.CANCELLED
