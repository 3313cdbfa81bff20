"""Calls of one agent, so many at a time: what was measured, and the measuring."""

import array
import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from miniagents.agents import MiniAgent
from miniagents.errors import AgentArgumentError, InvalidOptionError

_KEPT = 1_000_000
_EVERY = 0.1  # seconds between two looks at memory and progress


class Latencies:
    """How long calls took. Exact for up to a million of them; of more, a sample of a million that is chosen evenly, so
    that memory is bounded (Vitter's algorithm R). The longest is always exact.

    Args:
        expected: How many there may be; the memory is taken at once, so that it does not look like growth.
    """

    __slots__ = ("_kept", "_random", "count", "longest")

    def __init__(self, expected: int) -> None:
        self._kept = array.array("d", bytes(8 * min(expected, _KEPT)))
        self._random = random.Random(0)
        self.count = 0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Note one."""
        place = self.count
        if place >= len(self._kept):
            place = self._random.randrange(self.count + 1)
        if place < len(self._kept):
            self._kept[place] = seconds
        self.count += 1
        if seconds > self.longest:
            self.longest = seconds

    def percentiles(self, *shares: float) -> tuple[float, ...]:
        """The nearest ranks, in seconds; NaN where there is none.

        Args:
            *shares: More than 0 and at most 1 (0.5: the median).
        """
        kept = sorted(self._kept[: self.count])
        return tuple(kept[math.ceil(share * len(kept)) - 1] if kept else math.nan for share in shares)


class Failure(msgspec.Struct, frozen=True):
    """The failed calls of one kind.

    Attributes:
        kind: The type of the exception.
        count: How many there were.
        first: The text of the first.
    """

    kind: str
    count: int
    first: str


class LoadResult(msgspec.Struct, frozen=True):
    """What was measured. Times are in seconds, memory in bytes.

    Attributes:
        done: Calls that ended, well or not.
        succeeded: Calls that ended well; latencies are theirs.
        per_second: Calls that ended well, per second.
        cpu: The share of one core that this process used: near 1, the event loop itself was the limit.
        rss_before: Memory before the calls, but after the first one.
        rss_peak: The most that was seen, ten times a second.
        rss_after: Memory when all had ended.
        interrupted: Whether it was ended before all calls were made.
    """

    target: str
    concurrency: int
    calls: int
    done: int
    succeeded: int
    seconds: float
    per_second: float
    cpu: float
    p50: float
    p90: float
    p99: float
    longest: float
    failures: tuple[Failure, ...]
    rss_before: int
    rss_peak: int
    rss_after: int
    interrupted: bool


class Load:
    """Calls an agent `calls` times, `concurrency` at a time: each caller waits for all replies and calls again.

    What has been measured so far can be read at any moment, also when `run` was cancelled.

    Attributes:
        calls: How many calls.

    Args:
        agent: Whom to call.
        calls: How many calls, 1 or more.
        concurrency: How many callers, 1 or more.
        message: What each call sends.
        timeout: Seconds that a call may take; None for no bound.
        memory: Gives the bytes that this process holds.

    Raises:
        InvalidOptionError: A number is outside its range.
    """

    def __init__(
        self,
        agent: MiniAgent,
        *,
        calls: int,
        concurrency: int,
        message: str,
        timeout: float | None,
        memory: Callable[[], int],
    ) -> None:
        if calls < 1:
            raise InvalidOptionError(f"--calls must be 1 or more, not {calls}")
        if concurrency < 1:
            raise InvalidOptionError(f"--concurrency must be 1 or more, not {concurrency}")
        if timeout is not None and not timeout > 0:
            raise InvalidOptionError(f"--timeout must be more than 0 seconds, not {timeout}")
        self._agent = agent
        self.calls = calls
        self._concurrency = min(concurrency, calls)
        self._message = message
        self._timeout = timeout
        self._memory = memory
        self._latencies = Latencies(calls)
        self._failures: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._begun = 0
        self._started: tuple[float, float] | None = None
        self._ended: tuple[float, float] | None = None
        self._rss = (0, 0, 0)

    @property
    def done(self) -> int:
        """How many calls have ended."""
        return self._latencies.count + self._failures.total()

    async def run(self, on_progress: Callable[[int], None]) -> None:
        """Make the calls, inside a running system.

        Args:
            on_progress: Is told ten times a second how many calls have ended.

        Raises:
            InvalidOptionError: The agent cannot be called without further arguments.
        """
        try:
            await self._agent.inquire(self._message, timeout=self._timeout, errors_as_messages=False)
        except AgentArgumentError as error:
            raise InvalidOptionError(f"{error}; name an agent that was forked with its arguments") from error
        except Exception:
            pass  # the same will happen to the others, and be counted
        before = self._memory()
        self._rss = (before, before, before)
        watch = asyncio.ensure_future(self._watch(on_progress))
        self._started = (time.perf_counter(), time.process_time())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._caller())
        finally:
            self._ended = (time.perf_counter(), time.process_time())
            watch.cancel()
            self._look()
            on_progress(self.done)

    async def _caller(self) -> None:
        while self._begun < self.calls:
            self._begun += 1
            began = time.perf_counter()
            try:
                await self._agent.inquire(self._message, timeout=self._timeout, errors_as_messages=False)
            except Exception as error:
                kind = type(error).__name__
                self._failures[kind] += 1
                self._first.setdefault(kind, str(error))
            else:
                self._latencies.add(time.perf_counter() - began)

    async def _watch(self, on_progress: Callable[[int], None]) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            self._look()
            on_progress(self.done)

    def _look(self) -> None:
        before, peak, _ = self._rss
        now = self._memory()
        self._rss = (before, max(peak, now), now)

    def result(self, target: str) -> LoadResult:
        """What has been measured so far.

        Args:
            target: What the agent is called.
        """
        seconds, cpu = 0.0, 0.0
        if self._started is not None:
            ended = self._ended if self._ended is not None else (time.perf_counter(), time.process_time())
            seconds, cpu = ended[0] - self._started[0], ended[1] - self._started[1]
        p50, p90, p99 = self._latencies.percentiles(0.5, 0.9, 0.99)
        return LoadResult(
            target=target,
            concurrency=self._concurrency,
            calls=self.calls,
            done=self.done,
            succeeded=self._latencies.count,
            seconds=seconds,
            per_second=self._latencies.count / seconds if seconds else 0.0,
            cpu=cpu / seconds if seconds else 0.0,
            p50=p50,
            p90=p90,
            p99=p99,
            longest=self._latencies.longest,
            failures=tuple(Failure(kind, count, self._first[kind]) for kind, count in self._failures.most_common()),
            rss_before=self._rss[0],
            rss_peak=self._rss[1],
            rss_after=self._rss[2],
            interrupted=self.done < self.calls,
        )
