"""One child of a supervisor, as the supervisor knows it."""

import asyncio
import enum
from collections.abc import Mapping
from typing import Any, TypeGuard

from miniagents.actors.cells.living_cell import LivingCell
from miniagents.errors import NodeLostError
from miniagents.supervision import ChildSpec, Restart


class Status(enum.Enum):
    """The state of a child, as its supervisor knows it."""

    RUNNING = "running"
    UNDEFINED = "undefined"
    """The specification is there, and no child."""
    RESTARTING = "restarting"
    """The child ended, and its restart has not succeeded yet."""


class Child:
    """One child of a supervisor.

    Args:
        id: The id of its specification.
        spec: Its specification; None for a child that an actor spawned through its context.
        kwargs: The arguments of its constructor.

    Attributes:
        cell: Its cell; while a restart is due, the cell without an instance; None where there is none.
        status: Its state.
        down: A token of the exit that waits to be handled; None once the exit is handled or void.
        backoff: The timer of a restart that waits for its time.
        awaits_group: True while it is to be started again with its siblings.
        in_row: The number of restarts since it last handled a message.
        made_of: What it is made of if it was placed on another node: the actor, the options and the arguments.
        is_unwanted: True if the caller of `start_child` was cancelled.
        handled: The number of messages that it had handled at its last restart.
    """

    __slots__ = (
        "awaits_group",
        "backoff",
        "cell",
        "down",
        "handled",
        "id",
        "in_row",
        "is_unwanted",
        "kwargs",
        "made_of",
        "spec",
        "status",
    )

    def __init__(self, id: str, spec: ChildSpec | None, kwargs: Mapping[str, object]) -> None:
        self.id = id
        self.spec = spec
        self.kwargs = kwargs
        self.cell: LivingCell | None = None
        self.status = Status.UNDEFINED
        self.down: object = None
        self.made_of: Any = None
        self.backoff: asyncio.TimerHandle | None = None
        self.awaits_group = False
        self.is_unwanted = False
        self.in_row = 0
        self.handled = 0

    def withdraw_exit(self) -> None:
        """Void the exit that waits to be handled, and the restart that waits for its time."""
        self.down = None
        if self.backoff is not None:
            self.backoff.cancel()
            self.backoff = None

    def is_lost_by(self, reason: object) -> TypeGuard[NodeLostError]:
        """Return True if it ended because its node was lost. A child of this node may fail with a `NodeLostError`, too,
        since it has tried to place another actor, for example. That is a failure like any other one."""
        return self.made_of is not None and isinstance(reason, NodeLostError)

    @property
    def is_temporary(self) -> bool:
        """True if the specification is removed when the child ends."""
        return self.spec is not None and self.spec.restart is Restart.TEMPORARY
