"""Waits: what each task that may be part of a deadlock waits for, as the deadlock detection reads it."""

import asyncio
from collections.abc import Collection
from typing import Any, Protocol

Wait = tuple[Any, int | None, Any]
"""The awaited promise, the index of the piece (None for the whole), and the node whose code waits (or None)."""

Held = tuple[bool, Collection[Any]]
"""The causes that hold a promise up: tasks, nodes, and promises, each of these with the index of the missing piece.
The bool says whether one of them alone is enough to hold the promise up (True) or only all of them together are
(False)."""

waits: "dict[asyncio.Future[Any], Wait]" = {}
"""The waits under way of code that runs in a node or works for a promise, by the future that ends each of them.

All systems share this dict: a task tells which future it waits for, and not which system it belongs to.
"""


class Producer(Protocol):
    """The node that is to settle a promise, for the deadlock detection."""

    def begin_wait(self, promise: Any, at: int | None) -> None:
        """Called before a task waits for the promise. May raise to refuse the wait.

        Args:
            promise: The promise.
            at: The index of the piece that is waited for; None for the whole.
        """

    def node_behind(self, promise: Any) -> object:
        """Return the node that must go on before the promise can settle; None if there is none for certain."""


class Combined:
    """A wait for several promises, as the deadlock detection sees it. A cycle through one of them fails that one, and
    the wait goes on as after any failure."""

    __slots__ = ()
