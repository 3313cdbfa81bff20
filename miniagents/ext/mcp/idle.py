"""`IdleTimes`: the limits of calls that must make progress, all of one connection."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager


class IdleTime:
    """The idle time of one call.

    Attributes:
        is_over: Whether the call has made no progress for too long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: asyncio.Timeout | None = None
        self._pauses = 0
        self.is_over = False

    async def progress(self, *_: object) -> None:
        """Begin anew: the call has made progress."""
        self._begin()

    def pause(self) -> None:
        """Stop the clock, since the server waits for an answer of ours."""
        self._pauses += 1
        self._begin()

    def go_on(self) -> None:
        """Start the clock again, from the beginning."""
        self._pauses -= 1
        self._begin()

    def _begin(self) -> None:
        if self._timer is not None and not self._timer.expired():
            now = asyncio.get_running_loop().time()
            self._timer.reschedule(None if self._pauses else now + self._seconds)

    @asynccontextmanager
    async def limiting(self) -> AsyncGenerator[None, None]:
        """Cancel what runs within the context when the time is over.

        Raises:
            TimeoutError: The time is over, or what runs has raised it; see `is_over`.
        """
        try:
            async with asyncio.timeout(self._seconds) as self._timer:
                yield
        finally:
            timer, self._timer = self._timer, None
            self.is_over = timer is not None and timer.expired()


class IdleTimes:
    """The idle times of all calls of one connection."""

    def __init__(self) -> None:
        self._running: dict[IdleTime, None] = {}
        self._pauses = 0

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncGenerator[IdleTime, None]:
        """Limit the idle time of the call that is made within the context; see `IdleTime.limiting`.

        Args:
            seconds: The most seconds without progress, more than 0.
        """
        idle = IdleTime(seconds)
        self._running[idle] = None
        try:
            async with idle.limiting():
                for _ in range(self._pauses):
                    idle.pause()
                yield idle
        finally:
            del self._running[idle]

    @contextmanager
    def paused(self) -> Generator[None, None, None]:
        """Stop all clocks within the context."""
        self._pauses += 1
        for idle in self._running:
            idle.pause()
        try:
            yield
        finally:
            self._pauses -= 1
            for idle in self._running:
                idle.go_on()
