"""The cell at the root of the tree."""

from miniagents.actors.cells.cell import Cell


class RootCell(Cell):
    """Above all top-level actors. It handles nothing, and nobody has a reference to it."""

    __slots__ = ()

    kind = "system"

    @property
    def path(self) -> str:
        """The root of all paths."""
        return ""

    def wake(self) -> None:
        """There is never anything in its mailbox."""

    def crash(self, error: BaseException) -> None:
        """End the system: the supervision of the top-level actors has given up."""
        self.system.fail(error)
