"""The built-in workloads: each does its own set-up, and times only the part that it is about.

A workload is an async function of a number of operations that gives what it took. Every feature of the runtime is on:
supervision, deadlines, context variables, dead letters, deadlock detection, the tree.
"""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple

from miniagents.actors import Actor, ActorContext, ActorRef, ActorSystem, SpawnOptions
from miniagents.agents import InteractionContext, MiniAgents, miniagent
from miniagents.messages import Message, TextMessage
from miniagents.supervision import OneForOne

_RING = 1_000
_WAVE = 1_000


class Took(NamedTuple):
    """What a workload took.

    Attributes:
        seconds: On the wall clock.
        cpu: Seconds of processor time.
        operations: How many operations that was.
        bytes: Memory that was taken, where that is the question.
    """

    seconds: float
    cpu: float
    operations: int
    bytes: int = 0


class Workload(NamedTuple):
    """A workload, by name.

    Attributes:
        operations: How many operations make a run of a third of a second or so.
        what: What one operation is.
        run: Runs so many operations.
    """

    operations: int
    what: str
    run: Callable[[int], Coroutine[Any, Any, Took]]


class Number(Message):
    n: int


class Boom(Exception):
    """What the actors of `crash` raise."""


class _Clock:
    def __init__(self) -> None:
        gc.collect()
        self._began = time.perf_counter(), time.process_time()

    def took(self, operations: int, memory: int = 0) -> Took:
        seconds, cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        return Took(seconds, cpu, operations, memory)


class Counter(Actor):
    def __init__(self, want: int, done: "asyncio.Future[None]") -> None:
        self.left = want
        self.done = done

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        self.left -= 1
        if not self.left:
            self.done.set_result(None)


class Echo(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return message


class Fragile(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        raise Boom


class Hop(Actor):
    """One of a ring; `following` is shared by all and filled afterwards."""

    def __init__(self, number: int, following: "list[ActorRef]", done: "asyncio.Future[None]") -> None:
        self.number = number
        self.following = following
        self.done = done

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        assert isinstance(message, Number)  # nothing else is sent
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
                for one in [refs[number % actors].ask(Number(n=number)) for number in range(_WAVE)]:
                    await one
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
            async def tokens(_: Any) -> AsyncIterator[str]:
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
