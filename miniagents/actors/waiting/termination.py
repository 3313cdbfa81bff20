"""The request that an actor ends, and who must not wait for that end."""

import asyncio
from typing import TYPE_CHECKING, Any

from miniagents.actors.waiting.deadlock import Node
from miniagents.errors import DeadlockError
from miniagents.promising import Promise
from miniagents.promising.scope import current_scope
from miniagents.supervision import StopReason

if TYPE_CHECKING:
    from miniagents.actors.ports import Cell


class StopRequest(Promise[Any]):
    """A request that an actor ends, and the promise of the exit's reason. It resolves when the exit is judged.

    The actor, and those below it, must not wait for it. The request sees to that as its own producer: one object for
    each stop (benchmark `stop`).

    Args:
        cell: The actor; None for `ENDED`.
        reason: The reason that was given.

    Attributes:
        reason: The same; a later, stronger request changes it.
    """

    __slots__ = ("_cell", "reason")

    def __init__(self, cell: "Cell | None", reason: StopReason | BaseException) -> None:
        super().__init__()
        self._cell = cell
        self.reason = reason
        self.producer = self

    def grant(self, reason: StopReason | BaseException | None) -> None:
        """Resolve to the reason of the exit."""
        self._cell = None
        if self.waiters is None and self.callbacks is None and not self.done():
            self.settled_value = reason  # all that there is to settle: the usual case (benchmark `stop`)
            self.producer = None
        else:
            self.resolve(reason)

    def begin_wait(self, promise: "Promise[Any]", at: int | None) -> None:
        """Somebody is about to wait for the end.

        Raises:
            DeadlockError: The actor itself is, or one below it: it would wait for its own end.
        """
        scope = current_scope.get()
        node = scope.node if scope is not None else None
        cell, whose = node, self._cell
        assert whose is not None  # the exit is to come, since somebody is about to wait for it
        if node is not None and node.task is asyncio.current_task():
            while cell is not None:
                if cell is whose:
                    path: str = node.node_path
                    raise own_end(node, (path, whose.path, path) if node is not cell else (path, path))
                cell = cell.parent
        whose.begin_wait(promise, at)

    def node_behind(self, promise: "Promise[Any]") -> "Cell | None":
        """Return the cell, which must go on before it can end."""
        return self._cell


ENDED = StopRequest(None, StopReason.NORMAL)
"""The value of `stopping` once an actor has ended: its mailbox stays closed."""


def own_end(node: Node, cycle: tuple[str, ...]) -> DeadlockError:
    """The error of one that would wait for its own end."""
    error = DeadlockError(
        f"{node.node_path}: would wait for its own end: {' -> '.join(cycle)}; ask for it without awaiting it",
        ring=cycle,
    )
    node.deadlocked(error)
    return error
