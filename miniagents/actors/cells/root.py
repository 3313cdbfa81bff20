"""The cell at the root of the tree."""

from miniagents.actors.cells.cell import Cell


class RootCell(Cell):
    """Above all top-level actors. It handles nothing, and nobody has a reference to it."""

    __slots__ = ()

    @property
    def path(self) -> str:
        """The root of all paths."""
        return ""

    def wake(self) -> None:
        """There is never anything in its mailbox."""

    def crash(self, error: BaseException) -> None:
        """What its children's supervision leads to is the system's failure."""
        self.system.fail(error)
