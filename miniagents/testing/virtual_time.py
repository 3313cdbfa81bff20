"""An event loop with a virtual clock: when nothing is ready, the clock jumps to the next timer."""

import asyncio
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")

_WALL_BEGINS = 1_767_225_600.0  # 2026-01-01, 00:00 UTC


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: "VirtualTimeLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self._loop
        loop.turned()
        if loop.threads and timeout:
            # A thread has no virtual time: while one works, the clock runs in real time.
            began = time.monotonic()
            ready = super().select(timeout)
            loop.now += min(time.monotonic() - began, timeout) if ready else timeout
            return ready
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            loop.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with a virtual clock, for tests without real connections.

    Hours pass in milliseconds, and timers fire in the same order every time.

    Attributes:
        now: The virtual time, in seconds.
        wall_offset: What is added to it for the virtual time of day, which begins with the year 2026. Change it to set
            the time of day, as an operator or the network does.
        threads: The number of calls of `run_in_executor` that are under way. While there are any, the clock does not
            jump.

    Example:
        >>> async def wait_an_hour():
        ...     began = asyncio.get_running_loop().time()
        ...     await asyncio.sleep(3600)
        ...     return asyncio.get_running_loop().time() - began
        >>> with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        ...     runner.run(wait_an_hour())
        3600.0
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_offset = _WALL_BEGINS - self.now
        self.threads = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self.now

    def wall_time(self) -> float:
        """Return the virtual time of day, in seconds since the epoch."""
        return self.now + self.wall_offset

    def timers(self) -> list[asyncio.TimerHandle]:
        """Return the timers that have not fired and are not cancelled."""
        # asyncio has no public way to ask for its timers, or for what is ready; a test of the simulation needs both.
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return [timer for timer in timers if not timer.cancelled()]

    def has_ready(self) -> bool:
        """Return whether something is ready to run at this moment."""
        return bool(self._ready)  # type: ignore[attr-defined]

    def turned(self) -> None:
        """Called at each turn of the loop, before it looks for what is ready."""

    def run_in_executor(  # type: ignore[override]  # typeshed types it by the function
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Run a function in a thread, as any loop does. The clock does not jump meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: object) -> None:
        self.threads -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Shut the threads down as any loop does, but without a timeout: the clock would jump to its end at once."""
        await super().shutdown_default_executor()
