"""`WallClock`: timers on the time of day, for waits that are longer than a process lives or a machine stays awake."""

import asyncio
import time
from collections.abc import Callable

LOOK_EVERY = 30.0
"""Seconds after which a longer wait looks at the clock again."""


class WallTimer:
    """A call that is due at a time of day.

    Args:
        clock: The clock that the timer belongs to.
        due_at: When it is due, in seconds since the epoch.
        callback: Called then, once.
    """

    __slots__ = ("_clock", "callback", "due_at", "handle")

    def __init__(self, clock: "WallClock", due_at: float, callback: Callable[[], object]) -> None:
        self._clock = clock
        self.due_at = due_at
        self.callback = callback
        self.handle: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Do not call back. A timer that has called back already, or is cancelled, stays as it is."""
        if self.handle is not None:
            self.handle.cancel()
        self._clock.forget(self)


class WallClock:
    """Timers on the time of day.

    The clock of an event loop stands still while a laptop sleeps, and does not follow when the time of day is set. So
    a wait that is longer than `LOOK_EVERY` looks at the time of day again and again, all such waits at once. The last
    part of a wait, and a short wait, are timers of the loop.

    An event loop with a virtual clock has a method `wall_time`, and that is the time of day then.

    Args:
        loop: The event loop.

    Attributes:
        time: Returns the seconds since the epoch.

    Example:
        >>> clock = WallClock(asyncio.get_running_loop())
        >>> began = clock.time()
        >>> await clock.sleep_until(began + 0.1)
        >>> clock.time() > began
        True
    """

    __slots__ = ("_far", "_look", "_loop", "time")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.time: Callable[[], float] = getattr(loop, "wall_time", time.time)
        self._far: dict[WallTimer, None] = {}
        self._look: asyncio.TimerHandle | None = None

    def call_at(self, due_at: float, callback: Callable[[], object]) -> WallTimer:
        """Call a function at a time of day; at the next turn of the loop if that has passed.

        Args:
            due_at: When, in seconds since the epoch.
            callback: The function.
        """
        timer = WallTimer(self, due_at, callback)
        self._set(timer)
        return timer

    async def sleep_until(self, due_at: float) -> None:
        """Wait until a time of day. A time that has passed is not waited for."""
        if due_at <= self.time():
            return
        woken = self._loop.create_future()
        timer = self.call_at(due_at, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken  # the timer ends it
        finally:
            timer.cancel()

    def forget(self, timer: WallTimer) -> None:
        """Look at the time of day for a timer no longer."""
        self._far.pop(timer, None)
        if not self._far and self._look is not None:
            self._look.cancel()
            self._look = None

    def _set(self, timer: WallTimer) -> None:
        seconds = timer.due_at - self.time()
        if seconds <= LOOK_EVERY:
            self._far.pop(timer, None)
            timer.handle = self._loop.call_later(max(seconds, 0.0), timer.callback)
            return
        self._far[timer] = None
        if self._look is None:
            self._look = self._loop.call_later(LOOK_EVERY, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        for timer in tuple(self._far):
            self._set(timer)
