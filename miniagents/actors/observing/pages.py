"""Pages of the tree: a part of it at a time, and what has changed since a version.

A page takes a bounded time, however large the tree is. The actors come from the top to the bottom, each before those
below it, and siblings in the order of their starts, which is that of their uids. So a cursor names a place that stays
the same whatever starts and ends meanwhile: the uids from the top of the walk down to the last actor of the page.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter, itemgetter

import msgspec

from miniagents.actors.observing.changes import Changes, EndedActor
from miniagents.actors.observing.shown import Shown
from miniagents.actors.observing.tree import ActorInfo, info
from miniagents.errors import InvalidOptionError

DEFAULT_LIMIT = 250
"""The number of actors on a page, where no `limit=` is given."""

COUNTED = 10_000
"""The number of actors below those of one page whose mailboxes are counted."""

BEHIND = 5_000
"""The number of changed actors beyond which a reader gets the whole tree anew: to search more would take too long."""

_uid = attrgetter("uid")


class TreePage(msgspec.Struct, frozen=True):
    """A part of the tree, or of what has changed in it.

    Attributes:
        nodes: The actors, each before those below it, without their `children`. Changes come the oldest first, so that
            an actor may come before the one above it.
        cursor: The place to go on from: `tree(cursor=page.cursor)`; None on the last page.
        version: The version to ask for changes since, after the last page: `tree(changed_since=page.version)`. It is a
            version of this system object; another one, as in the next process, knows nothing of it.
        ended: The actors that have ended since; empty on pages of a whole tree.
        is_fresh: True on the first page of a whole tree: what the reader knew before is void.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     for name in ("a", "b", "c"):
        ...         await system.spawn(Idle, name=name).started()
        ...     page = system.tree(cursor="", limit=2)
        ...     rest = system.tree(cursor=page.cursor)
        >>> [node.path for node in page.nodes], [node.path for node in rest.nodes]
        (['/', '/a'], ['/b', '/c'])
    """

    nodes: tuple[ActorInfo, ...]
    cursor: str | None
    version: int
    ended: tuple[EndedActor, ...] = ()
    is_fresh: bool = False


class Pages:
    """Makes the pages of one tree.

    Args:
        top: The cell that the pages begin at.
        depth: The number of levels below it that are shown, or None for all.
        limit: The number of actors on a page, 1 or more.
        changes: The log of the tree.
        now: The time, on `loop.time()`.
    """

    def __init__(self, top: Shown, depth: int | None, limit: int, changes: Changes, now: float) -> None:
        self._top = top
        self._depth = depth
        self._limit = limit
        self._changes = changes
        self._now = now
        self._counted: dict[Shown, int] = {}
        self._to_count = COUNTED

    def first(self) -> TreePage:
        """Return the first page of the whole tree."""
        self._changes.read()
        return self._walk(self._changes.version, (), is_fresh=True)

    def after(self, cursor: str) -> TreePage:
        """Return the page after another one.

        Args:
            cursor: The cursor of that page, or "" for the first one.

        Raises:
            InvalidOptionError: That is no cursor.
        """
        if not cursor:
            return self.first()
        kind, _, numbers = cursor.partition(":")
        try:
            version, *place = [int(number) for number in numbers.split(".")]
        except ValueError:
            version, place = -1, []
        if kind == "changes" and version >= 0:
            return self.since(version)
        if kind != "tree" or not place or version < 0:
            raise InvalidOptionError(f"tree(cursor=) must be the cursor of an earlier page, not {cursor!r}")
        self._changes.read()
        return self._walk(version, tuple(place), is_fresh=False)

    def since(self, version: int) -> TreePage:
        """Return what has changed since a version, or the first page of the whole tree if that is not known any more.

        Args:
            version: That of an earlier page.
        """
        changes = self._changes
        known = changes.wanted and changes.forgotten <= version <= changes.version
        changes.read()
        newer = list(islice(_newer(changes, version), BEHIND + 1)) if known else []
        if not known or len(newer) > BEHIND:
            return self._walk(changes.version, (), is_fresh=True)
        enough = self._limit + 1  # one more than a page tells that there is another page
        changed = ((number, cell) for cell, number in reversed(newer) if self._shows(cell))
        gone = ((number, ended) for number, ended in changes.ended if number > version and self._showed(ended))
        found: list[tuple[int, Shown | EndedActor]] = [*islice(changed, enough), *islice(gone, enough)]
        found.sort(key=itemgetter(0))
        has_more = len(found) > self._limit
        del found[self._limit :]
        upto = found[-1][0] if has_more else changes.version
        return TreePage(
            nodes=tuple(self._info(cell) for _, cell in found if not isinstance(cell, EndedActor)),
            cursor=f"changes:{upto}" if has_more else None,
            version=upto,
            ended=tuple(ended for _, ended in found if isinstance(ended, EndedActor)),
        )

    def _walk(self, version: int, place: tuple[int, ...], *, is_fresh: bool) -> TreePage:
        cells = list(islice(self._after(self._top, place, 0), self._limit + 1))
        if is_fresh:
            cells.insert(0, self._top)
        has_more = len(cells) > self._limit
        del cells[self._limit :]
        last = ".".join(str(uid) for uid in self._place_of(cells[-1])) if has_more else ""
        return TreePage(
            nodes=tuple(self._info(cell) for cell in cells),
            cursor=f"tree:{version}.{last}" if has_more else None,
            version=version,
            is_fresh=is_fresh,
        )

    def _after(self, cell: Shown, place: tuple[int, ...], level: int) -> Iterator[Shown]:
        """Return the cells below one that come after a place, in order."""
        if not cell.children or (self._depth is not None and level >= self._depth):
            return
        siblings = cell.children.in_order()
        first = 0
        if place:
            first = bisect_right(siblings, place[0], key=_uid)
            if first and siblings[first - 1].uid == place[0]:
                yield from self._after(siblings[first - 1], place[1:], level + 1)
        for number in range(first, len(siblings)):  # `islice` would step over all that come before
            child = siblings[number]
            yield child
            if child.children:
                yield from self._after(child, (), level + 1)

    def _place_of(self, cell: Shown) -> list[int]:
        """Return the uids from below the top down to a cell; 0, which no actor has, for the top itself."""
        place: list[int] = []
        while cell is not self._top:
            place.append(cell.uid)
            above = cell.parent
            assert above is not None  # the walk came down from the top
            cell = above
        return place[::-1] or [0]

    def _shows(self, cell: Shown) -> bool:
        """Return True if a cell is the top or below it, not too deep."""
        level = 0
        above: Shown | None = cell
        while above is not None and above is not self._top:
            level += 1
            above = above.parent
        return above is not None and (self._depth is None or level <= self._depth)

    def _showed(self, ended: EndedActor) -> bool:
        """Return True if an actor that has ended was at the path of the top or below it, not too deep."""
        path = self._top.path
        if ended.path == path:
            return True
        return ended.path.startswith(f"{path}/") and (
            self._depth is None or ended.path.count("/", len(path)) <= self._depth
        )

    def _info(self, cell: Shown) -> ActorInfo:
        return info(cell, self._now, waiting=self._waiting(cell))

    def _waiting(self, cell: Shown) -> int | None:
        """Return how many messages wait below a cell; None if that were too many actors to look at."""
        if not cell.children:
            return 0
        if cell not in self._counted:
            if cell.children.actors > self._to_count:
                return None
            self._to_count -= cell.children.actors
            self._count(cell)
        return self._counted[cell]

    def _count(self, cell: Shown) -> int:
        waiting = 0
        for child in (cell.children or {}).values():
            if child.queue:
                waiting += child.depth
            if child.children:
                waiting += self._count(child)
        self._counted[cell] = waiting
        return waiting


def _newer(changes: Changes, version: int) -> Iterator[tuple[Shown, int]]:
    """Return the living actors that have changed since a version, the newest change first."""
    for cell, number in reversed(changes.changed.items()):
        if number <= version:
            return
        yield cell, number
