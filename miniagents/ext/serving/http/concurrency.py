"""The gate: how much is under way, whose it is, and whether any more may come in."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from miniagents.ext.serving.http.problems import Problem, stopping


class Place:
    """What one request takes of what its key may have at once. It is free when all who hold it have let go: the
    request, and the call that it has begun, which may go on without it.

    Args:
        gate: The gate that it is free for again.
        key: The key that it is of.
    """

    __slots__ = ("_gate", "_holders", "_key")

    def __init__(self, gate: "Gate", key: str) -> None:
        self._gate = gate
        self._key = key
        self._holders = 0

    def hold(self) -> None:
        """Somebody more holds it."""
        self._holders += 1

    def release(self) -> None:
        """Somebody lets go."""
        self._holders -= 1
        if not self._holders:
            self._gate.leave(self._key)

    def __enter__(self) -> "Place":
        self.hold()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Gate:
    """Counts what is under way.

    Args:
        concurrent: Places of one key at once, or None.

    Attributes:
        is_draining: Whether no more may come in.
        is_cut_off: Whether what is still inside is cut off.
    """

    def __init__(self, concurrent: int | None) -> None:
        self._concurrent = concurrent
        self._inside: Counter[str] = Counter()
        self._idle: asyncio.Event | None = None
        self._cuts: set[asyncio.Timeout] = set()
        self.is_draining = False
        self.is_cut_off = False

    @property
    def inside(self) -> int:
        """How many places are taken."""
        return self._inside.total()

    def enter(self, key: str) -> Place:
        """Take a place, which is held in a `with` block.

        Raises:
            Problem: 503: the server is stopping; 429: this key has too many already.
        """
        if self.is_draining:
            raise stopping()
        if self._concurrent is not None and self._inside[key] >= self._concurrent:
            raise Problem(
                429,
                f"This key has {self._concurrent} requests under way already, with what runs in the background.",
                code="too_many_requests",
                retry_after=1.0,
            )
        self._inside[key] += 1
        return Place(self, key)

    def leave(self, key: str) -> None:
        """Take back a place of a key."""
        self._inside[key] -= 1
        if not self._inside[key]:
            del self._inside[key]
        if not self._inside and self._idle is not None:
            self._idle.set()

    def reset(self) -> None:
        """Requests may come in (again)."""
        self.is_draining = self.is_cut_off = False

    def cut_off(self) -> None:
        """Nothing that is inside has any more time."""
        self.is_draining = self.is_cut_off = True
        now = asyncio.get_running_loop().time()
        for cut in self._cuts:
            cut.reschedule(now)

    @asynccontextmanager
    async def until_cut_off(self) -> AsyncIterator[None]:
        """What is done in here ends when it is cut off, whatever it waits for.

        Raises:
            Problem: 503: it was.
        """
        try:
            async with asyncio.timeout(None) as cut:
                self._cuts.add(cut)
                try:
                    yield
                finally:
                    self._cuts.discard(cut)
        except TimeoutError:
            if cut.expired():
                raise stopping() from None
            raise

    async def wait_idle(self) -> None:
        """Wait until nothing is under way."""
        while self._inside:
            self._idle = asyncio.Event()
            await self._idle.wait()
