"""Streams that outlive their connections for some seconds."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.runs import Run


class _Kept:
    __slots__ = ("readers", "run", "seconds", "timer")

    def __init__(self, run: Run, seconds: float) -> None:
        self.run = run
        self.seconds = seconds
        self.readers = 0
        self.timer: asyncio.TimerHandle | None = None


class KeptRuns:
    """Calls whose replies can be read again. A call without a reader is dropped after some seconds, and cancelled if it
    still runs.

    Args:
        most: The most calls of one key at once.
        size: The most bytes of the calls of one key, as they are read. More bytes drop the oldest calls that have ended
            and have no reader.
    """

    def __init__(self, most: int, size: int) -> None:
        self._most = most
        self._size = size
        self._kept: dict[str, _Kept] = {}

    def check_room(self, key: str) -> None:
        """Check that a key may have one more call.

        Raises:
            Problem: 429: the calls of the key are too many, or too large.
        """
        own = [kept for kept in self._kept.values() if kept.run.key == key]
        if len(own) >= self._most or sum(kept.run.reading.size for kept in own) >= self._size:
            text = "Too many streams of this key are kept."
            raise Problem(429, text, param="keep", code="too_many_streams", retry_after=1.0)

    def add(self, run: Run, seconds: float) -> None:
        """Keep a call for a number of seconds without a reader."""
        kept = self._kept[run.id] = _Kept(run, seconds)
        self._wait(kept)
        run.replies.add_done_callback(lambda _: self._make_room(run.key))

    def _make_room(self, key: str) -> None:
        own = [kept for kept in self._kept.values() if kept.run.key == key]
        taken = sum(kept.run.reading.size for kept in own)
        for kept in own:
            if taken <= self._size:
                break
            if kept.run.replies.done() and not kept.readers:
                taken -= kept.run.reading.size
                self._drop(kept)

    def keeps(self, run: Run) -> bool:
        """Return whether a call is kept."""
        return run.id in self._kept

    def get(self, id: str, key: str, name: str) -> Run:
        """Return a kept call.

        Args:
            id: The name of the stream.
            key: The key that made the call.
            name: The name of the agent.

        Raises:
            Problem: 404: there is no such stream of this key.
        """
        kept = self._kept.get(id)
        if kept is None or kept.run.key != key or kept.run.entry.name != name:
            raise Problem(404, "There is no such stream (any more).", code="stream_not_found")
        return kept.run

    @contextmanager
    def read(self, run: Run) -> Iterator[None]:
        """Read a call inside `with`: until the end of the block, the call has one reader more."""
        kept = self._kept.get(run.id)
        if kept is None:
            yield
            return
        kept.readers += 1
        if kept.timer is not None:
            kept.timer.cancel()
            kept.timer = None
        try:
            yield
        finally:
            kept.readers -= 1
            if not kept.readers:
                self._wait(kept)

    def _wait(self, kept: _Kept) -> None:
        """Wait for a reader of a call, at most until the call is dropped."""
        if self._kept.get(kept.run.id) is kept:
            kept.timer = asyncio.get_running_loop().call_later(kept.seconds, self._forget, kept.run)

    def _forget(self, run: Run) -> None:
        self._kept.pop(run.id, None)
        run.cancel("nobody came back for its stream")

    def _drop(self, kept: _Kept) -> None:
        if kept.timer is not None:
            kept.timer.cancel()
        del self._kept[kept.run.id]

    def clear(self) -> None:
        """Drop all calls."""
        for kept in tuple(self._kept.values()):
            self._drop(kept)
