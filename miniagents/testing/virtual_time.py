"""An event loop whose clock jumps: when nothing is ready, time goes on to the next timer at once."""

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: "VirtualTimeLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        loop = self._loop
        loop.turned()
        if loop.threads and timeout:
            # A thread has no virtual time: as long as one works, the clock goes as all clocks do.
            began = time.monotonic()
            ready = super().select(timeout)
            loop.now += min(time.monotonic() - began, timeout) if ready else timeout
            return ready
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            loop.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Hours pass in milliseconds, and always in the same order. For tests without real connections.

    Attributes:
        now: The time, in seconds.
        threads: How many calls of `run_in_executor` are under way; meanwhile the clock does not jump.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.threads = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """The virtual time."""
        return self.now

    def turned(self) -> None:
        """The loop looks for what is ready: called at each of its turns."""

    def run_in_executor(  # type: ignore[override]  # typeshed types it by the function
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """As any loop's."""
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: object) -> None:
        self.threads -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """As any loop's, without a timeout: the clock would jump to its end at once."""
        await super().shutdown_default_executor()
