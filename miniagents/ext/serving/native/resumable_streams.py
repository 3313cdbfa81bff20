"""Streams that outlive their connections for some seconds."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.runs import Run


class _KeptRun:
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
        max_runs: The most calls of one key at once.
        max_bytes: The most bytes of the calls of one key, as they are read. More bytes drop the oldest calls that have
            ended and have no reader.
    """

    def __init__(self, max_runs: int, max_bytes: int) -> None:
        self._max_runs = max_runs
        self._max_bytes = max_bytes
        self._kept: dict[str, _KeptRun] = {}

    def check_room(self, key: str) -> None:
        """Check that a key may have one more call.

        Raises:
            Problem: 429: the calls of the key are too many, or too large.
        """
        own = [kept_run for kept_run in self._kept.values() if kept_run.run.key == key]
        if len(own) >= self._max_runs or sum(kept_run.run.reading.size for kept_run in own) >= self._max_bytes:
            text = "Too many streams of this key are kept."
            raise Problem(429, text, param="keep", code="too_many_streams", retry_after=1.0)

    def add(self, run: Run, seconds: float) -> None:
        """Keep a call for a number of seconds without a reader."""
        kept_run = self._kept[run.id] = _KeptRun(run, seconds)
        self._wait(kept_run)
        run.replies.add_done_callback(lambda _: self._make_room(run.key))

    def _make_room(self, key: str) -> None:
        own = [kept_run for kept_run in self._kept.values() if kept_run.run.key == key]
        taken = sum(kept_run.run.reading.size for kept_run in own)
        for kept_run in own:
            if taken <= self._max_bytes:
                break
            if kept_run.run.replies.done() and not kept_run.readers:
                taken -= kept_run.run.reading.size
                self._drop(kept_run)

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
        kept_run = self._kept.get(id)
        if kept_run is None or kept_run.run.key != key or kept_run.run.entry.name != name:
            raise Problem(404, "There is no such stream (any more).", code="stream_not_found")
        return kept_run.run

    @contextmanager
    def read(self, run: Run) -> Iterator[None]:
        """Read a call inside `with`: until the end of the block, the call has one reader more."""
        kept_run = self._kept.get(run.id)
        if kept_run is None:
            yield
            return
        kept_run.readers += 1
        if kept_run.timer is not None:
            kept_run.timer.cancel()
            kept_run.timer = None
        try:
            yield
        finally:
            kept_run.readers -= 1
            if not kept_run.readers:
                self._wait(kept_run)

    def _wait(self, kept_run: _KeptRun) -> None:
        """Wait for a reader of a call, at most until the call is dropped."""
        if self._kept.get(kept_run.run.id) is kept_run:
            kept_run.timer = asyncio.get_running_loop().call_later(kept_run.seconds, self._forget, kept_run.run)

    def _forget(self, run: Run) -> None:
        self._kept.pop(run.id, None)
        run.cancel("nobody came back for its stream")

    def _drop(self, kept_run: _KeptRun) -> None:
        if kept_run.timer is not None:
            kept_run.timer.cancel()
        del self._kept[kept_run.run.id]

    def clear(self) -> None:
        """Drop all calls."""
        for kept_run in tuple(self._kept.values()):
            self._drop(kept_run)
