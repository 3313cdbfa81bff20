"""`Load`: many calls of one agent, or asks of one actor, several at a time, and their measurement."""

import array
import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec

from miniagents.actors import Actor, ActorRef
from miniagents.agents import MiniAgent, MiniAgents
from miniagents.errors import AgentArgumentError, InvalidOptionError
from miniagents.messages import TextMessage

_MAX_SAMPLE = 1_000_000
_EVERY = 0.1  # seconds between two measurements of memory and progress


class Latencies:
    """The durations of calls.

    Up to a million durations are kept; of more, a random sample of a million (Vitter's algorithm R), so that memory is
    bounded. The longest duration is always exact.

    Args:
        expected: The number of durations to expect. Their memory is taken at once, so that it does not count as growth.

    Attributes:
        count: The number of durations so far.
        longest: The longest duration, in seconds.

    Example:
        >>> latencies = Latencies(expected=3)
        >>> for seconds in (0.3, 0.1, 0.2):
        ...     latencies.add(seconds)
        >>> latencies.percentiles(0.5, 1.0)
        (0.2, 0.3)
    """

    __slots__ = ("_random", "_sample", "count", "longest")

    def __init__(self, expected: int) -> None:
        self._sample = array.array("d", bytes(8 * min(expected, _MAX_SAMPLE)))
        self._random = random.Random(0)
        self.count = 0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Add a duration."""
        place = self.count
        if place >= len(self._sample):
            place = self._random.randrange(self.count + 1)
        if place < len(self._sample):
            self._sample[place] = seconds
        self.count += 1
        if seconds > self.longest:
            self.longest = seconds

    def percentiles(self, *shares: float) -> tuple[float, ...]:
        """Return percentiles by nearest rank, in seconds; NaN if there are no durations.

        Args:
            *shares: Shares, more than 0 and at most 1 (0.5 is the median).
        """
        durations = sorted(self._sample[: self.count])
        return tuple(durations[math.ceil(share * len(durations)) - 1] if durations else math.nan for share in shares)


class Failure(msgspec.Struct, frozen=True):
    """The failed calls of one kind.

    Attributes:
        kind: The type of the exception.
        count: The number of these calls.
        first: The text of the first exception.
    """

    kind: str
    count: int
    first: str


class LoadResult(msgspec.Struct, frozen=True):
    """The result of a load. Times are in seconds, memory in bytes.

    Attributes:
        target: The name of the agent.
        concurrency: The number of callers.
        calls: The number of calls that were wanted.
        done: The number of calls that ended.
        succeeded: The number of calls that succeeded. The latencies are theirs.
        seconds: The duration of the whole load.
        per_second: Successful calls per second.
        cpu: The share of one core that this process used. Near 1, the event loop itself was the limit.
        p50: The median latency.
        p90: The latency that 90 % of the calls do not exceed.
        p99: The latency that 99 % of the calls do not exceed.
        longest: The longest latency.
        failures: The failed calls, by kind.
        rss_before: Memory after the first call, which is not measured.
        rss_peak: The highest memory of ten measurements a second.
        rss_after: Memory at the end.
        interrupted: Whether the load ended before all calls were made.
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
    """Many calls of one agent, or many asks of one actor. Each of several callers waits for the end of its call, and
    calls again.

    The result so far can be read at any moment, also after `run` was cancelled.

    Args:
        agent: The agent, or the class of the actor, which gets each message as a `TextMessage`.
        calls: The number of calls, 1 or more.
        concurrency: The number of callers, 1 or more.
        message: The message of each call.
        timeout: Seconds that a call may take; None for no limit.
        memory: Returns the bytes that this process holds.

    Attributes:
        calls: The number of calls.

    Raises:
        InvalidOptionError: A number is outside its range.

    Example:
        >>> from miniagents import MiniAgents
        >>> from miniagents.testing import Script, ScriptedModel
        >>> load = Load(
        ...     ScriptedModel.fork(script=Script("Hello!")),
        ...     calls=10, concurrency=2, message="Hi", timeout=None, memory=lambda: 0,
        ... )
        >>> MiniAgents().run(load.run(lambda done: None))
        >>> load.result("the model").succeeded
        10
    """

    def __init__(
        self,
        agent: MiniAgent | type[Actor],
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
        self._actor: ActorRef | None = None
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
        """The number of calls that have ended."""
        return self._latencies.count + self._failures.total()

    async def run(self, on_progress: Callable[[int], None]) -> None:
        """Make the calls, inside a running system.

        Args:
            on_progress: Called ten times a second with the number of calls that have ended.

        Raises:
            InvalidOptionError: The agent or actor needs further arguments.
        """
        try:
            if not isinstance(self._agent, MiniAgent):
                self._actor = MiniAgents.get_current().spawn(self._agent)
                await self._actor.started()
        except Exception as error:
            raise InvalidOptionError(f"{self._agent.__name__} does not start: {error}") from error
        try:
            await self._call()
        except AgentArgumentError as error:
            raise InvalidOptionError(f"{error}; name an agent that was forked with its arguments") from error
        except Exception:
            pass  # the measured calls fail in the same way, and are counted
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
            self._measure_memory()
            on_progress(self.done)

    async def _caller(self) -> None:
        while self._begun < self.calls:
            self._begun += 1
            began = time.perf_counter()
            try:
                await self._call()
            except Exception as error:
                kind = type(error).__name__
                self._failures[kind] += 1
                self._first.setdefault(kind, str(error))
            else:
                self._latencies.add(time.perf_counter() - began)

    def _call(self) -> Awaitable[object]:
        if self._actor is not None:
            return self._actor.ask(TextMessage(self._message), timeout=self._timeout)
        assert isinstance(self._agent, MiniAgent)  # the actor of a class has been started
        return self._agent.inquire(self._message, timeout=self._timeout, errors_as_messages=False)

    async def _watch(self, on_progress: Callable[[int], None]) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            self._measure_memory()
            on_progress(self.done)

    def _measure_memory(self) -> None:
        before, peak, _ = self._rss
        now = self._memory()
        self._rss = (before, max(peak, now), now)

    def result(self, target: str) -> LoadResult:
        """Return the result so far.

        Args:
            target: The name of the agent.
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
