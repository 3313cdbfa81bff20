"""Streams that outlive their connections, for a while."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from miniagents.ext.serving.problems import Problem
from miniagents.ext.serving.runs import Run


class _Kept:
    __slots__ = ("readers", "run", "seconds", "timer")

    def __init__(self, run: Run, seconds: float) -> None:
        self.run = run
        self.seconds = seconds
        self.readers = 0
        self.timer: asyncio.TimerHandle | None = None


class KeptRuns:
    """Calls whose replies can be read again: without a reader they are forgotten after a while, and cancelled if they
    still run.

    Args:
        most: How many there are at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, _Kept] = {}

    def check_room(self) -> None:
        """Refuse one more, if there are too many.

        Raises:
            Problem: 429.
        """
        if len(self._kept) >= self._most:
            raise Problem(429, "Too many streams are kept.", param="keep", code="too_many_streams", retry_after=1.0)

    def add(self, run: Run, seconds: float) -> None:
        """Keep one for so many seconds without a reader."""
        kept = self._kept[run.id] = _Kept(run, seconds)
        self._wait(kept)

    def keeps(self, run: Run) -> bool:
        """Whether it is kept."""
        return run.id in self._kept

    def get(self, id: str, key: str, name: str) -> Run:
        """One that is kept.

        Args:
            id: The name of the stream.
            key: Whose it must be.
            name: The name of its agent.

        Raises:
            Problem: 404: there is none, or it is somebody else's.
        """
        kept = self._kept.get(id)
        if kept is None or kept.run.key != key or kept.run.entry.name != name:
            raise Problem(404, "There is no such stream (any more).", code="stream_not_found")
        return kept.run

    @contextmanager
    def read(self, run: Run) -> Iterator[None]:
        """Somebody reads it."""
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
        """Wait for somebody to read it; one that was forgotten meanwhile is waited for no more."""
        if self._kept.get(kept.run.id) is kept:
            kept.timer = asyncio.get_running_loop().call_later(kept.seconds, self._forget, kept.run)

    def _forget(self, run: Run) -> None:
        self._kept.pop(run.id, None)
        run.cancel("nobody came back for its stream")

    def clear(self) -> None:
        """Forget all."""
        for kept in self._kept.values():
            if kept.timer is not None:
                kept.timer.cancel()
        self._kept.clear()
