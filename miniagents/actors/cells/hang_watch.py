"""The watch over code that has a `handler_timeout`."""

import asyncio
from typing import Protocol

from miniagents.promising.abandoning import INSIST_EVERY


class Watched(Protocol):
    """The cell whose code is watched."""

    def hangs(self) -> None:
        """Cancel the code: its time is over."""

    def still_hangs(self) -> None:
        """Cancel the code again, since it has swallowed its cancellation for a second."""


class HangWatch:
    """A timer over one run of a handler or hook: it fires after `seconds`, and then each second until `cancel`.

    Args:
        loop: The event loop of the system.
        seconds: The `handler_timeout`, more than 0.
        cell: The cell that runs the code.
    """

    __slots__ = ("_cell", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, cell: Watched) -> None:
        self._loop = loop
        self._cell = cell
        self._timer = loop.call_later(seconds, self._fires)

    def cancel(self) -> None:
        """End the watch: the code has ended."""
        self._timer.cancel()

    def _fires(self) -> None:
        # Armed first: what is cancelled may end here and now, and cancel this.
        self._timer = self._loop.call_later(INSIST_EVERY, self._insists)
        self._cell.hangs()

    def _insists(self) -> None:
        self._timer = self._loop.call_later(INSIST_EVERY, self._insists)
        self._cell.still_hangs()
