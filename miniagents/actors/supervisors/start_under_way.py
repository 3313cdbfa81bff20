"""The start of a child that is under way: at most one for each supervisor, and how the start is cut off."""

import asyncio
from typing import TYPE_CHECKING

from miniagents.actors.supervisors.child import Child

if TYPE_CHECKING:
    from miniagents.actors.cells.cell import Cell
    from miniagents.actors.messaging.ref import ActorRef


class StartUnderWay:
    """The child of one supervisor that is in its start, if there is one.

    Args:
        host: The cell whose children are supervised.

    Attributes:
        child: The child; None if no start is under way.
    """

    __slots__ = ("_cut_off_at", "_host", "child")

    def __init__(self, host: "Cell") -> None:
        self._host = host
        self._cut_off_at: asyncio.TimerHandle | None = None
        self.child: Child | None = None

    def end(self) -> None:
        """The start has succeeded or failed."""
        self.child = None
        if self._cut_off_at is not None:
            self._cut_off_at.cancel()
            self._cut_off_at = None

    def find(self, which: "str | ActorRef") -> Child | None:
        """Return the child with this id or ref if it is in its start, else None."""
        child = self.child
        if child is not None and (child.id == which or child.cell is getattr(which, "_cell", None)):
            return child
        return None

    def limit(self) -> None:
        """Cut the start off when the shutdown time of the child is over: a stop waits behind the start."""
        child = self.child
        cell = child.cell if child is not None else None
        if cell is None:
            return
        if cell.is_supervisor or cell.shutdown == 0:
            cell.cancel_start()  # the children of a supervisor have shutdown times of their own
        elif cell.shutdown is not None and self._cut_off_at is None:
            self._cut_off_at = self._host.system.loop.call_later(cell.shutdown, cell.cancel_start)

    def cut_off(self) -> None:
        """Cut the start off now."""
        if self.child is not None and self.child.cell is not None:
            self.child.cell.cancel_start()
