"""Timers: messages that an actor gets later."""

import asyncio
from typing import TYPE_CHECKING, Any

from miniagents.actors.envelope import Envelope

if TYPE_CHECKING:
    from miniagents.actors.belongings import OwningCell


class Timer:
    """A message that an actor will get, once or again and again.

    Args:
        cell: The actor.
        delay: Seconds until the first time.
        message: The message.
        every: Seconds between the next times, or None for once.
    """

    __slots__ = ("_cell", "_every", "_handle", "_last", "_message")

    def __init__(self, cell: "OwningCell", delay: float, message: Any, every: float | None) -> None:
        self._cell = cell
        self._message = message
        self._every = every
        self._last: Envelope | None = None
        self._handle: asyncio.TimerHandle | None = cell.system.loop.call_later(delay, self._fire)

    def cancel(self) -> None:
        """No more messages; cancelling again is harmless."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._cell.timers.discard(self)

    def _fire(self) -> None:
        cell = self._cell
        system = cell.system
        if self._last is None or self._last.taken:
            envelope = Envelope(self._message, cell.ref, at=system.time())
            self._last = envelope
            cell.post_system(envelope)
        if self._every is None:
            self.cancel()
        else:
            self._handle = system.loop.call_later(self._every, self._fire)
