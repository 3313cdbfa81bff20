"""Draining: on SIGTERM a service finishes the requests under way, and lets the server stop."""

import asyncio
import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

from miniagents.errors import InvalidOptionError, ServiceStoppingError
from miniagents.ext.serving.service import Service
from miniagents.log import log as _log

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LAST_WORDS = 1.0
"""Seconds for requests that were cut off to answer their clients."""


def check_grace(seconds: float) -> None:
    """Check a grace.

    Raises:
        InvalidOptionError: The grace is less than 0 s, or infinite.
    """
    if not 0 <= seconds < math.inf:
        raise InvalidOptionError(f"grace= must be 0 s or more, and finite, not {seconds!r}")


class Drain:
    """The end of a service.

    Args:
        service: The service.
        grace: Seconds for the requests under way, 0 or more.
    """

    def __init__(self, service: Service, grace: float) -> None:
        self._service = service
        self.grace = grace
        self._ends_at: float | None = None
        self._draining: asyncio.Task[None] | None = None
        self._timer: asyncio.Timeout | None = None

    def reset(self) -> None:
        """Accept requests: the service starts (again)."""
        self._service.gate.reset()
        self._ends_at = self._draining = None

    @property
    def seconds_left(self) -> float:
        """The rest of the grace in seconds; all of it before draining begins."""
        if self._ends_at is None:
            return self.grace
        return max(self._ends_at - asyncio.get_running_loop().time(), 0.0)

    def begin(self) -> "asyncio.Task[None]":
        """Accept no more requests, and finish those under way."""
        if self._draining is None:
            self._service.gate.is_draining = True
            self._ends_at = asyncio.get_running_loop().time() + self.grace
            self._draining = asyncio.create_task(self._drain())
        return self._draining

    async def _drain(self) -> None:
        gate, runs, tracked = self._service.gate, self._service.runs, self._service.tracking
        try:
            async with asyncio.timeout(self.grace) as self._timer:
                await gate.wait_idle()
                await runs.wait_idle()
                await tracked.wait_idle()
                self._timer = None
        except TimeoutError:
            self._timer = None
            calls = len(runs) + len(tracked)
            _log.warning("shutdown.grace_expired", requests=gate.inside, calls=calls)
            error = ServiceStoppingError("the service is stopping, and its grace has expired")
            runs.stop_all(error)
            tracked.stop_all(error)
            gate.cut_off()
            try:
                async with asyncio.timeout(_LAST_WORDS):
                    await gate.wait_idle()
            except TimeoutError:
                pass

    def hurry(self) -> None:
        """End the grace now."""
        self._ends_at = now = asyncio.get_running_loop().time()
        if self._timer is not None:
            self._timer.reschedule(now)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Drain on SIGTERM or SIGINT inside the block, and call the server's own handler afterwards. A second signal
        ends the grace. Does nothing if the server has no handler, or outside of the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        previous: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}
        installed = [number for number, handler in previous.items() if callable(handler)]

        def handle(number: int, frame: FrameType | None) -> None:
            if self._service.gate.is_draining:
                loop.call_soon_threadsafe(self.hurry)
                previous[number](number, frame)
            else:
                loop.call_soon_threadsafe(self._begin_for, partial(previous[number], number, None))

        for number in installed:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number in installed:
                if signal.getsignal(number) is handle:
                    signal.signal(number, previous[number])

    def _begin_for(self, hand_on: "partial[Any]") -> None:
        self.begin().add_done_callback(lambda _: hand_on())
