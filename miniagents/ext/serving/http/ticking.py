"""The ticker: one timer of an event loop that looks at all streams of events, instead of a timer for each of them."""

import asyncio
import weakref
from contextvars import Context
from typing import Protocol

SECONDS = 1.0
"""Seconds from one look to the next, at most."""


class Watched(Protocol):
    """A stream, as the ticker sees it."""

    patience: float

    def look(self, now: float) -> None:
        """Do what is due.

        Args:
            now: The time, on `loop.time()`.
        """


class Ticker:
    """Looks at the streams of an event loop, once a second, or more often if one of them has less patience.

    The timer runs only while there is a stream. The ticker has no reference to its loop, which could not end otherwise.
    """

    __slots__ = ("_streams", "_timer")

    def __init__(self) -> None:
        self._streams: dict[Watched, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, stream: Watched) -> None:
        """Look at a stream from now on, until it is removed."""
        self._streams[stream] = None
        at = asyncio.get_running_loop().time() + min(stream.patience, SECONDS)
        if self._timer is None or self._timer.when() > at:
            self._set(at)

    def remove(self, stream: Watched) -> None:
        """Look at a stream no more."""
        del self._streams[stream]
        if not self._streams and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # In a context of its own: that of the request which comes first would live as long as the timer.
        self._timer = asyncio.get_running_loop().call_at(at, self._tick, context=Context())

    def _tick(self) -> None:
        now, soon = asyncio.get_running_loop().time(), SECONDS
        for stream in tuple(self._streams):
            if stream in self._streams:  # a look at another one may have removed it
                stream.look(now)
                soon = min(soon, stream.patience)
        if self._streams:
            self._set(now + soon)


_tickers: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Ticker]" = weakref.WeakKeyDictionary()


def ticker_of(loop: asyncio.AbstractEventLoop) -> Ticker:
    """Return the ticker of an event loop."""
    ticker = _tickers.get(loop)
    if ticker is None:
        ticker = _tickers[loop] = Ticker()
    return ticker
