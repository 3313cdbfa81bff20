"""The gate: the requests under way, and whether new ones may come in."""

import asyncio
from collections import Counter
from types import TracebackType

from miniagents.ext.serving.http.problems import Problem, stopping


class Place:
    """The place of one request among the concurrent requests of its key.

    The request holds the place, and so does the call that it has begun, which may outlast the request. The place is
    free when nothing holds it any more.

    Args:
        gate: The gate that counts the requests.
        key: The name of the key of the request.
    """

    __slots__ = ("_gate", "_holders", "_key")

    def __init__(self, gate: "Gate", key: str) -> None:
        self._gate = gate
        self._key = key
        self._holders = 0

    def hold(self) -> None:
        """Add one holder."""
        self._holders += 1

    def release(self) -> None:
        """Remove one holder."""
        self._holders -= 1
        if not self._holders:
            self._gate.leave(self._key)

    def __enter__(self) -> "Place":
        self.hold()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Gate:
    """The count of the requests under way.

    Args:
        concurrent: The most places of one key at once; None for no limit.

    Attributes:
        is_draining: Whether new requests are refused.
        is_cut_off: Whether the requests under way are cut off.
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
        """The number of places that are taken."""
        return self._inside.total()

    def enter(self, key: str) -> Place:
        """Take a place, for a `with` block.

        Raises:
            Problem: 503: the service is stopping; 429: the key has too many places already.
        """
        if self.is_draining:
            raise stopping()
        if self._concurrent is not None and self._inside[key] >= self._concurrent:
            raise Problem(
                429,
                f"This key has {self._concurrent} requests under way already, those in the background included.",
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
        """Accept requests (again)."""
        self.is_draining = self.is_cut_off = False

    def cut_off(self) -> None:
        """Cut off all requests under way."""
        self.is_draining = self.is_cut_off = True
        now = asyncio.get_running_loop().time()
        for cut in self._cuts:
            cut.reschedule(now)

    def until_cut_off(self) -> "UntilCutOff":
        """Return the context of a block that runs until the requests are cut off; then its wait ends.

        The block raises a `Problem` (503) if it was cut off.
        """
        return UntilCutOff(self._cuts)

    async def wait_idle(self) -> None:
        """Wait until no request is under way."""
        while self._inside:
            self._idle = asyncio.Event()
            await self._idle.wait()


class UntilCutOff:
    """The context of a block that runs until the requests are cut off: see `Gate.until_cut_off`.

    Each request has one. As a generator function it would take twice as long (benchmark `serving`).

    Args:
        cuts: The timeouts that cut off the blocks under way.
    """

    __slots__ = ("_cut", "_cuts")

    def __init__(self, cuts: "set[asyncio.Timeout]") -> None:
        self._cuts = cuts
        self._cut = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._cut.__aenter__()
        self._cuts.add(self._cut)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cuts.discard(self._cut)
        try:
            await self._cut.__aexit__(kind, error, traceback)
        except TimeoutError:
            raise stopping() from None
