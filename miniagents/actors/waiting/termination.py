"""The promise of an actor's end, and who must not wait for it."""

import asyncio
from typing import TYPE_CHECKING, Any

from miniagents.actors.waiting.deadlock import Node
from miniagents.errors import DeadlockError
from miniagents.promising import Promise
from miniagents.promising.scope import current_scope

if TYPE_CHECKING:
    from miniagents.actors.ports import Cell


class Ending:
    """The producer of the promise of an actor's end: the actor, and those below it, must not wait for it."""

    __slots__ = ("_cell",)

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell

    def begin_wait(self, promise: "Promise[Any]", at: int | None) -> None:
        """Somebody is about to wait for the end.

        Raises:
            DeadlockError: The actor itself is, or one below it: it would wait for its own end.
        """
        scope = current_scope.get()
        node = scope.node if scope is not None else None
        cell: Cell | None = node
        if node is not None and node.task is asyncio.current_task():
            while cell is not None:
                if cell is self._cell:
                    path: str = node.node_path
                    raise own_end(node, (path, self._cell.path, path) if node is not cell else (path, path))
                cell = cell.parent
        self._cell.begin_wait(promise, at)

    def node_behind(self, promise: "Promise[Any]") -> "Cell":
        """Return the cell, which must go on before it can end."""
        return self._cell


def own_end(node: Node, cycle: tuple[str, ...]) -> DeadlockError:
    """The error of one that would wait for its own end."""
    error = DeadlockError(
        f"{node.node_path}: would wait for its own end: {' -> '.join(cycle)}; ask for it without awaiting it",
        ring=cycle,
    )
    node.deadlocked(error)
    return error
