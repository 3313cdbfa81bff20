"""Who waits for a limit that several event loops share, also in threads at once: one clock, one line, turns."""

import asyncio
import contextlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_CHECK_SECONDS = 1.0
"""How often it is looked whether a loop has ended with all that it had under way."""


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def wake(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[None]") -> None:
    """Resolve a future of a loop, from any thread; one of a loop that has ended is nobody's any more."""
    if loop is running_loop():
        _resolve(future)
    else:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class SharedClock:
    """One time for any number of loops: that of the first one, which goes on when another one begins."""

    def __init__(self) -> None:
        self._offsets: WeakKeyDictionary[asyncio.AbstractEventLoop, float] = WeakKeyDictionary()
        self._latest = 0.0
        self._read_at: float | None = None  # on time.monotonic(), which all threads share

    def now(self) -> float:
        """The time, in seconds. It never goes back."""
        loop = running_loop()
        offset = self._offsets.get(loop) if loop is not None else None
        if loop is not None and offset is not None:
            now = loop.time() + offset
        elif self._read_at is not None:
            now = self._latest + time.monotonic() - self._read_at
        else:
            now = loop.time() if loop is not None else 0.0
        if loop is not None and offset is None:
            self._offsets[loop] = now - loop.time()
        self._latest = max(self._latest, now)
        self._read_at = time.monotonic()
        return self._latest

    def of_loop(self, at: float) -> float:
        """The same instant on the clock of the running loop, which has asked for the time before."""
        return at - self._offsets[asyncio.get_running_loop()]


class Trampoline:
    """What one loop has in the line."""

    __slots__ = ("armed_for", "in_flight", "loop", "timer", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting = 0
        self.in_flight = 0
        self.timer: asyncio.TimerHandle | None = None
        self.armed_for: float | None = None


class Waiter:
    """A request that waits.

    Attributes:
        who: Who asks.
        tokens: Tokens that it will use, estimated.
        longest_pause: Seconds that everybody may be told to wait: it does not wait for longer ones.
        lane: Its loop's.
        future: Is resolved in its own loop once it was admitted, or refused.
        admission: What it got; None as long as it waits.
        refusal: Why it got nothing, or None.
    """

    __slots__ = ("admission", "future", "lane", "longest_pause", "refusal", "tokens", "who")

    def __init__(self, who: str, tokens: int, longest_pause: float, lane: Trampoline) -> None:
        self.who = who
        self.tokens = tokens
        self.longest_pause = longest_pause
        self.lane = lane
        self.future: asyncio.Future[None] = lane.loop.create_future()
        self.admission: Any = None
        self.refusal: Exception | None = None


class Line:
    """The line: one request of each `who` in turn, whichever loop it is in.

    Args:
        clock: Its clock.
        lock: What its user holds whenever it uses the line.
        serve: Is called, in one of the loops, when the time of the first one has come.
    """

    def __init__(self, clock: SharedClock, lock: "threading.RLock", serve: Callable[[], None]) -> None:
        self._clock = clock
        self._lock = lock
        self._serve = serve
        self._lanes: dict[asyncio.AbstractEventLoop, Trampoline] = {}
        self._queues: OrderedDict[str, deque[Waiter]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return sum(lane.in_flight for lane in self._lanes.values())

    @property
    def first(self) -> Waiter | None:
        """Whose turn it is."""
        return next(iter(self._queues.values()))[0] if self._queues else None

    @property
    def waiters(self) -> list[Waiter]:
        """All who wait."""
        return [waiter for queue in self._queues.values() for waiter in queue]

    def join(self, who: str, tokens: int, longest_pause: float) -> Waiter:
        """Wait, in the running loop."""
        loop = asyncio.get_running_loop()
        lane = self._lanes.setdefault(loop, Trampoline(loop))
        lane.waiting += 1
        waiter = Waiter(who, tokens, longest_pause, lane)
        self._queues.setdefault(who, deque()).append(waiter)
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Wait no more."""
        queue = self._queues.get(waiter.who)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._queues[waiter.who]
            waiter.lane.waiting -= 1
            if not waiter.lane.waiting and waiter.lane.loop is running_loop():
                self.disarm()  # of those that it served nobody waits any more
            self._drop_if_idle(waiter.lane)

    def refuse(self, waiter: Waiter, refusal: Exception) -> None:
        """Let one wait no more, and tell it why."""
        self.leave(waiter)
        waiter.refusal = refusal
        wake(waiter.lane.loop, waiter.future)

    def admit_first(self, admission: Any) -> None:
        """Let the first one go; the next one of the same `who` is behind all others."""
        who, queue = self._queues.popitem(last=False)
        waiter = queue.popleft()
        if queue:
            self._queues[who] = queue
        waiter.admission = admission
        waiter.lane.waiting -= 1
        waiter.lane.in_flight += 1
        wake(waiter.lane.loop, waiter.future)

    def ended(self, lane: Trampoline) -> None:
        """A request that was under way is over."""
        lane.in_flight -= 1
        self._drop_if_idle(lane)

    def forget_ended_loops(self) -> None:
        """A loop that has ended waits for nothing, and nothing of it is under way, whatever it left."""
        for loop, lane in tuple(self._lanes.items()):
            if loop.is_closed():
                del self._lanes[loop]
                for waiter in [one for one in self.waiters if one.lane is lane]:
                    self.leave(waiter)

    def serve_at(self, at: float | None) -> None:
        """Serve again at a time, in seconds of the clock, or, with None, once a request has ended."""
        here = running_loop()
        if at is None:
            if len(self._lanes) < 2:
                return  # whoever ends it serves the line
            at = self._clock.now() + _CHECK_SECONDS
        for lane in tuple(self._lanes.values()):
            if lane.loop is here:
                self._arm(lane, at)
            elif lane.waiting and (lane.armed_for is None or at < lane.armed_for):
                lane.armed_for = at
                with contextlib.suppress(RuntimeError):  # it has ended, and is forgotten soon
                    lane.loop.call_soon_threadsafe(self._arm, lane, at)

    def disarm(self) -> None:
        """Nothing is to be served at any time; a timer of another loop does no harm."""
        here = running_loop()
        lane = self._lanes.get(here) if here is not None else None
        if lane is not None and lane.timer is not None:
            lane.timer.cancel()
            lane.timer = lane.armed_for = None
            self._drop_if_idle(lane)

    def _arm(self, lane: Trampoline, at: float) -> None:
        with self._lock:
            if lane.timer is not None:
                lane.timer.cancel()
            lane.armed_for = at
            self._clock.now()  # so that the clock knows the loop
            lane.timer = lane.loop.call_at(self._clock.of_loop(at), self._fired, lane)

    def _fired(self, lane: Trampoline) -> None:
        with self._lock:
            lane.timer = lane.armed_for = None
            self._serve()
            self._drop_if_idle(lane)

    def _drop_if_idle(self, lane: Trampoline) -> None:
        if not lane.waiting and not lane.in_flight and lane.timer is None and lane.armed_for is None:
            self._lanes.pop(lane.loop, None)
