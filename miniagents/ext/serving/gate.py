"""The gate: how many requests are under way, whose they are, and whether any more may come in."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from miniagents.ext.serving.problems import Problem


class Gate:
    """Counts what is under way.

    Args:
        concurrent: Requests of one key at once, or None.

    Attributes:
        is_draining: Whether no more may come in.
    """

    def __init__(self, concurrent: int | None) -> None:
        self._concurrent = concurrent
        self._inside: Counter[str] = Counter()
        self._idle: asyncio.Event | None = None
        self.is_draining = False

    @property
    def inside(self) -> int:
        """How many requests are under way."""
        return self._inside.total()

    @contextmanager
    def entered(self, key: str) -> Iterator[None]:
        """A request is under way.

        Raises:
            Problem: 503: the server is stopping; 429: this key has too many already.
        """
        if self.is_draining:
            raise Problem(503, "The server is stopping.", code="stopping", retry_after=1.0)
        if self._concurrent is not None and self._inside[key] >= self._concurrent:
            raise Problem(
                429,
                f"This key has {self._concurrent} requests under way already.",
                code="too_many_requests",
                retry_after=1.0,
            )
        self._inside[key] += 1
        try:
            yield
        finally:
            self._inside[key] -= 1
            if not self._inside[key]:
                del self._inside[key]
            if not self._inside and self._idle is not None:
                self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until nothing is under way."""
        while self._inside:
            self._idle = asyncio.Event()
            await self._idle.wait()
