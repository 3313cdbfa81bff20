"""`Rows`: the part of a tree that is shown, as the rows of a table."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

OPEN = 100
"""The number of actors whose children are shown at a time, at most."""


class Row(NamedTuple):
    """One row.

    Attributes:
        path: The path of the actor; that of its parent with "/..." for those that are not shown.
        depth: Its level below the root.
        is_open: Whether the actors below it are shown.
        info: The facts of the actor, as `system.tree` has them; None for those that are not shown.
        rate: The messages that it handled in a second; None on its first look.
    """

    path: str
    depth: int
    is_open: bool
    info: Mapping[str, Any] | None
    rate: float | None


class Rows:
    """The rows of a tree, whose actors the user opens and closes. The order is that of the starts: no row jumps.

    Attributes:
        opened: The paths of the actors whose children are shown, in the order in which they were opened.

    Example:
        >>> rows = Rows()
        >>> root = {"path": "/", "uid": 1, "handled": 0, "below": {"actors": 1}}
        >>> child = {"path": "/a", "uid": 2, "handled": 5, "below": {"actors": 0}}
        >>> rows.update({"/": {"nodes": [root, child], "has_more": False}}, now=0.0)
        >>> [(row.path, row.depth) for row in rows.shown()]
        [('/', 0), ('/a', 1)]
    """

    def __init__(self) -> None:
        self.opened: dict[str, None] = {"/": None}
        self._levels: Mapping[str, Any] = {}
        self._handled: dict[int, tuple[int, float]] = {}
        self._rates: dict[int, float] = {}

    def toggle(self, path: str) -> None:
        """Open or close an actor. Of too many open ones, that which was opened first is closed."""
        if path in self.opened:
            del self.opened[path]
        else:
            self.opened[path] = None
            if len(self.opened) > OPEN:
                del self.opened[next(iter(self.opened))]

    def update(self, levels: Mapping[str, Any], now: float, asked: Iterable[str] = ("/",)) -> None:
        """Take what a look at the process has seen.

        Args:
            levels: For each open path its node and the children, `nodes`, and whether there are more, `has_more`. A
                path that is not there any more is missing.
            now: The time of the look, in seconds on a clock that does not go back.
            asked: The paths that were looked for. What was opened meanwhile is not among them, and stays open.
        """
        self._levels = levels
        for path in asked:
            if path not in levels:
                self.opened.pop(path, None)
        handled: dict[int, tuple[int, float]] = {}
        rates: dict[int, float] = {}
        for level in levels.values():
            for node in level["nodes"]:
                uid, count = node["uid"], node["handled"]
                before = self._handled.get(uid)
                if before is not None and now > before[1]:
                    rates[uid] = (count - before[0]) / (now - before[1])
                handled[uid] = (count, now)
        self._handled, self._rates = handled, rates

    def shown(self) -> list[Row]:
        """Return the rows from the top to the bottom."""
        level = self._levels.get("/")
        if level is None:
            return []
        rows: list[Row] = []
        self._add(rows, level["nodes"][0], 0)
        return rows

    def _add(self, rows: list[Row], node: Mapping[str, Any], depth: int) -> None:
        path = node["path"]
        level = self._levels.get(path) if path in self.opened else None
        rows.append(Row(path, depth, level is not None, node, self._rates.get(node["uid"])))
        if level is None:
            return
        for child in level["nodes"][1:]:
            self._add(rows, child, depth + 1)
        if level["has_more"]:
            rows.append(Row(f"{path.rstrip('/')}/...", depth + 1, False, None, None))
