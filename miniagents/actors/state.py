"""Where an actor is in its life, and the request that it ends."""

import enum
from typing import Any

from miniagents.promising import Promise
from miniagents.supervision import StopReason


class State(enum.Enum):
    """What an actor is doing."""

    STARTING = "starting"
    IDLE = "idle"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


# A look-up in an Enum costs as much as three calls of a method before Python 3.12 (benchmark `crash`).
STARTING, IDLE, RUNNING, RESTARTING, STOPPING, STOPPED = State


class StopRequest:
    """That an actor is to end, and how.

    Attributes:
        reason: The reason that it ends with.
        drain: Whether it handles first what waits in its mailbox.
        judged: Whether the restart type of a `ChildSpec` has a say in it.
        own: Whether the actor asked for it itself.
        ended: The promise of the end of this instance.
    """

    __slots__ = ("drain", "ended", "judged", "own", "reason")

    def __init__(self, reason: StopReason, *, drain: bool, judged: bool, own: bool = False) -> None:
        self.reason = reason
        self.drain = drain
        self.judged = judged
        self.own = own
        self.ended: Promise[Any] = Promise()


ENDED = StopRequest(StopReason.NORMAL, drain=False, judged=False)
"""What `stopping` is once an actor has ended: its mailbox stays closed."""
