"""The state of an actor in its life, and the request that it ends."""

import enum
from typing import Any

from miniagents.promising import Promise
from miniagents.supervision import StopReason


class State(enum.Enum):
    """The state of an actor, as the tree shows it."""

    STARTING = "starting"
    IDLE = "idle"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


class IgnoreStart(Exception):
    """Raised in `on_start`: this child is not needed now. Its supervisor keeps the specification and no child, as
    OTP's supervisor does when a start function returns `ignore`."""


class StopRequest:
    """A request that an actor ends.

    Attributes:
        reason: The reason that was given.
        ended: The promise of the exit's reason; it resolves when the exit is judged.
    """

    __slots__ = ("ended", "reason")

    def __init__(self, reason: StopReason | BaseException) -> None:
        self.reason = reason
        self.ended: Promise[Any] = Promise()


ENDED = StopRequest(StopReason.NORMAL)
"""The value of `stopping` once an actor has ended: its mailbox stays closed."""
