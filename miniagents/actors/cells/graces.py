"""Graces: the seconds that what was told to end has for that.

Those of one length end in the order in which they began, so that one timer of the loop serves them all: a tree that
stops arms one for each of its actors, and calls off nearly all of them (benchmark `stop`).
"""

import asyncio
from contextvars import Context
from typing import Protocol

_MOST = 64
"""Lengths that are remembered at most while nothing of that length runs."""


class Ends(Protocol):
    """The owner of a grace."""

    def grace_over(self) -> None:
        """Called when the grace is over."""


class Graces:
    """All graces of one system.

    Args:
        loop: Its event loop.
    """

    __slots__ = ("_loop", "_of")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._of: dict[float, Grace] = {}

    def start(self, seconds: float, whose: Ends) -> "Grace":
        """Let `whose.grace_over()` be called in `seconds`, unless that is called off before.

        Returns:
            What `cancel(whose)` is for.
        """
        grace = self._of.get(seconds)
        if grace is None:
            if len(self._of) >= _MOST:
                self._of = {length: grace for length, grace in self._of.items() if grace.is_running}
            grace = self._of[seconds] = Grace(self._loop, seconds)
        grace.start(whose)
        return grace


class Grace:
    """The graces of one length. Nobody has two of them at once.

    Args:
        loop: The event loop.
        seconds: The length, 0 or more.
    """

    __slots__ = ("_ends", "_loop", "_next", "_seconds", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._ends: dict[Ends, float] = {}  # when each is over, the next first
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        """True if there is any."""
        return bool(self._ends)

    def start(self, whose: Ends) -> None:
        """One more."""
        end = self._ends[whose] = self._loop.time() + self._seconds
        if self._timer is None:
            self._arm(end)

    def cancel(self, whose: Ends) -> None:
        """Call one off that is not over."""
        del self._ends[whose]
        if not self._ends and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, end: float) -> None:
        self._next = end
        # In a context of its own: not that of the one who happened to stop something first.
        self._timer = self._loop.call_at(end, self._over, context=Context())

    def _over(self) -> None:
        now = max(self._loop.time(), self._next)  # a loop may be early by what its clock cannot tell apart
        try:
            while self._ends:
                whose, end = next(iter(self._ends.items()))
                if end > now:
                    break
                del self._ends[whose]
                whose.grace_over()
        finally:
            if self._timer is not None:
                self._timer.cancel()  # what was called off and begun meanwhile may have armed another one
                self._timer = None
            if self._ends:
                self._arm(next(iter(self._ends.values())))
