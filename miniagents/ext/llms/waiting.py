"""`FairQueue`: requests of several event loops, in threads at once, that wait for one limit."""

import asyncio
import contextlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Granted = TypeVar("Granted")

_CHECK_SECONDS = 1.0
"""Seconds between two looks for event loops that were closed while their requests ran."""


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def wake(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[None]") -> None:
    """Resolve a future of an event loop, from any thread. If the loop is closed, nothing waits for it: do nothing."""
    if loop is running_loop():
        _resolve(future)
    else:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class SharedClock:
    """One clock for any number of event loops: the time of the first loop, which the others continue."""

    def __init__(self) -> None:
        self._offsets: WeakKeyDictionary[asyncio.AbstractEventLoop, float] = WeakKeyDictionary()
        self._latest = 0.0
        self._read_at: float | None = None  # on time.monotonic(), which all threads share

    def now(self) -> float:
        """Return the time in seconds; it never goes back."""
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
        """Return an instant on the clock of the running loop, in which `now` was called before."""
        return at - self._offsets[asyncio.get_running_loop()]


class LoopState:
    """The requests of one event loop: how many wait, how many run, and the timer that serves the queue.

    Args:
        loop: The event loop.
    """

    __slots__ = ("armed_for", "in_flight", "loop", "timer", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting = 0
        self.in_flight = 0
        self.timer: asyncio.TimerHandle | None = None
        self.armed_for: float | None = None


class Waiter(Generic[Granted]):
    """A waiting request.

    Attributes:
        sender: The name that requests take turns by.
        tokens: The estimated tokens of the request.
        longest_pause: Seconds: the request is refused when the provider asks for a longer pause.
        loop_state: The state of its event loop.
        future: Is resolved in the request's own loop when it is admitted or refused.
        admission: The admission; None while the request waits.
        refusal: The error of a refused request, or None.
    """

    __slots__ = ("admission", "future", "longest_pause", "loop_state", "refusal", "sender", "tokens")

    def __init__(self, sender: str, tokens: int, longest_pause: float, loop_state: LoopState) -> None:
        self.sender = sender
        self.tokens = tokens
        self.longest_pause = longest_pause
        self.loop_state = loop_state
        self.future: asyncio.Future[None] = loop_state.loop.create_future()
        self.admission: Granted | None = None
        self.refusal: Exception | None = None


class FairQueue(Generic[Granted]):
    """A fair queue: requests of different senders take turns, whatever event loop they are in.

    Args:
        clock: The clock of the queue.
        lock: The lock that the user of the queue holds during each call.
        serve: Is called in one of the loops when it is time to admit the first request.
    """

    def __init__(self, clock: SharedClock, lock: "threading.RLock", serve: Callable[[], None]) -> None:
        self._clock = clock
        self._lock = lock
        self._serve = serve
        self._loops: dict[asyncio.AbstractEventLoop, LoopState] = {}
        self._queues: OrderedDict[str, deque[Waiter[Granted]]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def in_flight(self) -> int:
        """The number of requests that were admitted and have not ended."""
        return sum(state.in_flight for state in self._loops.values())

    @property
    def first(self) -> Waiter[Granted] | None:
        """The request whose turn it is, or None."""
        return next(iter(self._queues.values()))[0] if self._queues else None

    @property
    def waiters(self) -> list[Waiter[Granted]]:
        """All waiting requests."""
        return [waiter for queue in self._queues.values() for waiter in queue]

    def by_sender(self) -> dict[str, int]:
        """Return the number of waiting requests of each sender, in the order of their turns."""
        return {sender: len(queue) for sender, queue in self._queues.items()}

    def join(self, sender: str, tokens: int, longest_pause: float) -> Waiter[Granted]:
        """Add a request of the running loop; see `Waiter` for the arguments."""
        loop = asyncio.get_running_loop()
        state = self._loops.setdefault(loop, LoopState(loop))
        state.waiting += 1
        waiter: Waiter[Granted] = Waiter(sender, tokens, longest_pause, state)
        self._queues.setdefault(sender, deque()).append(waiter)
        return waiter

    def leave(self, waiter: Waiter[Granted]) -> None:
        """Remove a request that waits no longer."""
        queue = self._queues.get(waiter.sender)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._queues[waiter.sender]
            waiter.loop_state.waiting -= 1
            if not waiter.loop_state.waiting and waiter.loop_state.loop is running_loop():
                self.disarm()  # the timer of this loop serves no other requests
            self._drop_if_idle(waiter.loop_state)

    def refuse(self, waiter: Waiter[Granted], refusal: Exception) -> None:
        """Remove a request and wake it with an error."""
        self.leave(waiter)
        waiter.refusal = refusal
        wake(waiter.loop_state.loop, waiter.future)

    def admit_first(self, admission: Granted) -> None:
        """Admit the first request; the next one of the same sender goes behind those of all others."""
        sender, queue = self._queues.popitem(last=False)
        waiter = queue.popleft()
        if queue:
            self._queues[sender] = queue
        waiter.admission = admission
        waiter.loop_state.waiting -= 1
        waiter.loop_state.in_flight += 1
        wake(waiter.loop_state.loop, waiter.future)

    def ended(self, state: LoopState) -> None:
        """Note that an admitted request of a loop has ended."""
        state.in_flight -= 1
        self._drop_if_idle(state)

    def forget_ended_loops(self) -> None:
        """Drop the requests of closed event loops, waiting and admitted ones."""
        for loop, state in tuple(self._loops.items()):
            if loop.is_closed():
                del self._loops[loop]
                for waiter in [waiter for waiter in self.waiters if waiter.loop_state is state]:
                    self.leave(waiter)

    def serve_at(self, at: float | None) -> None:
        """Call `serve` at a time, in seconds of the clock; with None, when a request has ended."""
        here = running_loop()
        if at is None:
            if len(self._loops) < 2:
                return  # the request that ends serves the queue
            at = self._clock.now() + _CHECK_SECONDS
        for state in tuple(self._loops.values()):
            if state.loop is here:
                self._arm(state, at)
            elif state.waiting and (state.armed_for is None or at < state.armed_for):
                state.armed_for = at
                with contextlib.suppress(RuntimeError):  # the loop is closed: `forget_ended_loops` drops it
                    state.loop.call_soon_threadsafe(self._arm, state, at)

    def disarm(self) -> None:
        """Cancel the timer of the running loop. Timers of other loops may stay: they find nothing to serve."""
        here = running_loop()
        state = self._loops.get(here) if here is not None else None
        if state is not None and state.timer is not None:
            state.timer.cancel()
            state.timer = state.armed_for = None
            self._drop_if_idle(state)

    def _arm(self, state: LoopState, at: float) -> None:
        with self._lock:
            if state.timer is not None:
                state.timer.cancel()
            state.armed_for = at
            self._clock.now()  # `of_loop` needs a loop that the clock knows
            state.timer = state.loop.call_at(self._clock.of_loop(at), self._fired, state)

    def _fired(self, state: LoopState) -> None:
        with self._lock:
            state.timer = state.armed_for = None
            self._serve()
            self._drop_if_idle(state)

    def _drop_if_idle(self, state: LoopState) -> None:
        if not state.waiting and not state.in_flight and state.timer is None and state.armed_for is None:
            self._loops.pop(state.loop, None)
