"""The built-in workloads. Each one prepares its system first, and measures only the operations.

A workload is an async function of the number of operations. All features of the runtime are on: supervision, deadlines,
context variables, dead letters, deadlock detection, the tree.
"""

import asyncio
import gc
import statistics
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

import msgspec

from miniagents.actors import Actor, ActorContext, ActorRef, ActorSystem, SpawnOptions
from miniagents.agents import InteractionContext, MiniAgents, miniagent
from miniagents.messages import Message, TextMessage
from miniagents.supervision import OneForOne

_RING = 1_000
_WAVE = 1_000


class Took(NamedTuple):
    """The measurement of one run of a workload.

    Attributes:
        seconds: Seconds on the wall clock.
        cpu: Seconds of processor time.
        operations: The number of operations.
        bytes: The memory taken, for a workload that measures memory; 0 otherwise.
    """

    seconds: float
    cpu: float
    operations: int
    bytes: int = 0


class WorkloadResult(msgspec.Struct, frozen=True):
    """The result of a built-in workload.

    Attributes:
        name: The name of the workload.
        what: A description of one operation.
        operations: The number of operations of a run.
        per_second: Operations per second, for each run.
        median: The median of `per_second`.
        cpu: The share of one core that this process got.
        bytes_each: The memory of one operation, for a workload that measures memory; None otherwise.
    """

    name: str
    what: str
    operations: int
    per_second: tuple[float, ...]
    median: float
    cpu: float
    bytes_each: float | None

    @classmethod
    def of(cls, name: str, what: str, runs: Sequence[Took]) -> "WorkloadResult":
        """Summarize runs.

        Args:
            name: The name of the workload.
            what: A description of one operation.
            runs: The runs, one or more.

        Example:
            >>> runs = [Took(seconds=1.0, cpu=1.0, operations=100), Took(seconds=2.0, cpu=2.0, operations=100)]
            >>> WorkloadResult.of("tell", "one message", runs).median
            75.0
        """
        rates = tuple(run.operations / run.seconds for run in runs)
        return cls(
            name=name,
            what=what,
            operations=runs[0].operations,
            per_second=rates,
            median=statistics.median(rates),
            cpu=statistics.median(run.cpu / run.seconds for run in runs),
            bytes_each=statistics.median(run.bytes / run.operations for run in runs) if runs[0].bytes else None,
        )


class Workload(NamedTuple):
    """A built-in workload.

    Attributes:
        operations: The number of operations of a run, which takes about a third of a second.
        what: A description of one operation.
        run: Runs a number of operations, and returns the measurement.
    """

    operations: int
    what: str
    run: Callable[[int], Coroutine[Any, Any, Took]]


class Number(Message):
    n: int


class Boom(Exception):
    """The exception of the actors of `crash`."""


class _Clock:
    def __init__(self) -> None:
        gc.collect()
        self._began = time.perf_counter(), time.process_time()

    def took(self, operations: int, memory: int = 0) -> Took:
        seconds, cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        return Took(seconds, cpu, operations, memory)


class Counter(Actor):
    def __init__(self, want: int, done: "asyncio.Future[None]") -> None:
        self.missing = want
        self.done = done

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        self.missing -= 1
        if not self.missing:
            self.done.set_result(None)


class Echo(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return message


class Fragile(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        raise Boom


class Hop(Actor):
    """An actor of a ring. All of them share `following`, which is filled when they exist."""

    def __init__(self, number: int, following: "list[ActorRef]", done: "asyncio.Future[None]") -> None:
        self.number = number
        self.following = following
        self.done = done

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        assert isinstance(message, Number)  # no other messages are sent
        if message.n:
            self.following[self.number].tell(Number(n=message.n - 1))
        else:
            self.done.set_result(None)


async def tell(n: int) -> Took:
    done = asyncio.get_running_loop().create_future()
    async with ActorSystem() as system:
        ref = system.spawn(Counter, want=n, done=done)
        await ref.started()
        clock = _Clock()
        for number in range(n):
            ref.tell(Number(n=number))
        await done
        return clock.took(n)


async def ask(n: int) -> Took:
    async with ActorSystem() as system:
        ref = system.spawn(Echo)
        await ref.started()
        clock = _Clock()
        for number in range(n):
            await ref.ask(Number(n=number))
        return clock.took(n)


def _waves(actors: int) -> Callable[[int], Coroutine[Any, Any, Took]]:
    async def run(n: int) -> Took:
        async with ActorSystem() as system:
            refs = [system.spawn(Echo) for _ in range(actors)]
            await refs[-1].started()
            rounds = max(1, n // _WAVE)
            clock = _Clock()
            for _ in range(rounds):
                for answer in [refs[number % actors].ask(Number(n=number)) for number in range(_WAVE)]:
                    await answer
            return clock.took(rounds * _WAVE)

    return run


async def ring(n: int) -> Took:
    done = asyncio.get_running_loop().create_future()
    async with ActorSystem() as system:
        following: list[ActorRef] = []
        refs = [system.spawn(Hop, number=number, following=following, done=done) for number in range(_RING)]
        following += [*refs[1:], refs[0]]
        await refs[-1].started()
        clock = _Clock()
        refs[0].tell(Number(n=n))
        await done
        return clock.took(n)


async def spawn(n: int) -> Took:
    async with ActorSystem() as system:
        clock = _Clock()
        refs = [system.spawn(Echo) for _ in range(n)]
        await refs[-1].started()
        return clock.took(n)


async def crash(n: int) -> Took:
    async with ActorSystem() as system:
        ref = system.spawn(Fragile, options=SpawnOptions(supervision=OneForOne(max_restarts=None)))
        await ref.started()
        clock = _Clock()
        for number in range(n):
            try:
                await ref.ask(Number(n=number))
            except Boom:
                pass
        return clock.took(n)


def _stream(*, live: bool) -> Callable[[int], Coroutine[Any, Any, Took]]:
    async def run(n: int) -> Took:
        @miniagent
        async def produce(ctx: InteractionContext) -> None:
            async def tokens(_: object) -> AsyncIterator[str]:
                for _ in range(n):
                    yield "tok "
                    if live:
                        await asyncio.sleep(0)

            ctx.reply(TextMessage.promise(message_token_streamer=tokens))

        async with MiniAgents():
            clock = _Clock()
            async for promise in produce.inquire():
                async for _ in promise:
                    pass
            return clock.took(n)

    return run


@miniagent
async def hello(ctx: InteractionContext) -> None:
    ctx.reply("hello")


async def agent_call(n: int) -> Took:
    async with MiniAgents():
        await hello.inquire("hi")
        clock = _Clock()
        for _ in range(n):
            await hello.inquire("hi")
        return clock.took(n)


async def agent_call_concurrent(n: int) -> Took:
    async with MiniAgents():
        await hello.inquire("hi")
        rounds = max(1, n // _WAVE)
        clock = _Clock()
        for _ in range(rounds):
            for call in [hello.inquire("hi") for _ in range(_WAVE)]:
                await call
        return clock.took(rounds * _WAVE)


async def memory(n: int) -> Took:
    async with ActorSystem() as system:
        await system.spawn(Echo).started()
        clock = _Clock()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            refs = [system.spawn(Echo) for _ in range(n)]
            await refs[-1].started()
            gc.collect()
            taken = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        return clock.took(n, taken)


WORKLOADS = {
    "tell": Workload(200_000, "one message to one actor", tell),
    "ask": Workload(50_000, "one question, one answer, then the next", ask),
    "ask_concurrent": Workload(50_000, "asks, 1,000 in flight over 100 actors", _waves(100)),
    "ring": Workload(50_000, "a hop in a ring of 1,000 actors", ring),
    "fanout": Workload(50_000, "an ask of each of 1,000 actors at once", _waves(1_000)),
    "spawn": Workload(20_000, "an actor made and started", spawn),
    "stream": Workload(200_000, "a token of one message, flat out", _stream(live=False)),
    "stream_live": Workload(50_000, "a token; the loop turns after each", _stream(live=True)),
    "agent_call": Workload(5_000, "one text in, one out, one call after the other", agent_call),
    "agent_call_concurrent": Workload(5_000, "the same, 1,000 calls at once", agent_call_concurrent),
    "crash": Workload(10_000, "a crash, and a fresh instance", crash),
    "memory": Workload(20_000, "bytes of an idle actor", memory),
}
