"""Routing: the rules by which a member of a pool gets a message. Pure decisions."""

import bisect
import enum
import hashlib
from collections.abc import Sequence


class Routing(enum.Enum):
    """The rule by which a member of a pool gets a message.

    Example:
        >>> class Cart(Actor):
        ...     async def receive(self, message, ctx):
        ...         return message
        >>> Pool(Cart, size=8, routing=Routing.CONSISTENT_HASH, key=lambda message: message.metadata["user"])
        Pool(<class 'example.Cart'>, size=8, routing=Routing.CONSISTENT_HASH)
    """

    ROUND_ROBIN = "round_robin"
    """One member after the other."""
    LEAST_LOADED = "least_loaded"
    """The member with the shortest mailbox; of several, the one whose turn it is."""
    CONSISTENT_HASH = "consistent_hash"
    """The member that the key of the message belongs to. If the size changes, few keys move (Karger et al., 1997)."""


class RoundRobin:
    """Picks one member after the other."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def pick(self, size: int) -> int:
        """Return the index of the next of `size` members."""
        picked = self._next % size
        self._next = picked + 1
        return picked

    def pick_least(self, loads: Sequence[float]) -> int:
        """Return the index of a member with the least load; of several, the first from the one whose turn it is."""
        start = self.pick(len(loads))
        order = [*range(start, len(loads)), *range(start)]
        least: int = min(order, key=loads.__getitem__)
        return least


class HashRing:
    """Points of all members on a ring. A key belongs to the member of the first point after the key's own.

    Args:
        size: The number of members.
        points: The number of points of each member.
    """

    __slots__ = ("_owners", "_points")

    def __init__(self, size: int, points: int = 64) -> None:
        ring = sorted((_place(f"{member}#{n}"), member) for member in range(size) for n in range(points))
        self._points = [place for place, _ in ring]
        self._owners = [member for _, member in ring]

    def pick(self, key: object) -> int:
        """Return the index of the member that a key belongs to, the same in every process."""
        at = bisect.bisect(self._points, _place(repr(key))) % len(self._points)
        return self._owners[at]


def _place(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
