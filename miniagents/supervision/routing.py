"""Routing: which member of a pool gets a message. Pure decisions."""

import bisect
import enum
import hashlib
from collections.abc import Sequence


class Routing(enum.Enum):
    """Which member of a pool gets a message."""

    ROUND_ROBIN = "round_robin"
    """One after the other."""
    LEAST_LOADED = "least_loaded"
    """The one with the least to do; of several, the one whose turn it is."""
    CONSISTENT_HASH = "consistent_hash"
    """The one that the message's key belongs to; when the size changes, few keys move (Karger et al., 1997)."""


class RoundRobin:
    """Takes turns."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def pick(self, size: int) -> int:
        """The index of the next of `size` members."""
        picked = self._next % size
        self._next = picked + 1
        return picked

    def pick_least(self, loads: Sequence[float]) -> int:
        """The index of a member with the least load, beginning at the one whose turn it is."""
        start = self.pick(len(loads))
        order = [*range(start, len(loads)), *range(start)]
        least: int = min(order, key=loads.__getitem__)
        return least


class HashRing:
    """Points of all members on a ring; a key belongs to the first point after its own.

    Args:
        size: How many members.
        points: How many points each has.
    """

    __slots__ = ("_owners", "_points")

    def __init__(self, size: int, points: int = 64) -> None:
        ring = sorted((_place(f"{member}#{n}"), member) for member in range(size) for n in range(points))
        self._points = [place for place, _ in ring]
        self._owners = [member for _, member in ring]

    def pick(self, key: object) -> int:
        """The index of the member that a key belongs to, the same in every process."""
        at = bisect.bisect(self._points, _place(repr(key))) % len(self._points)
        return self._owners[at]


def _place(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
