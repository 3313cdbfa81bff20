"""MiniAgents of this checkout, with all features on: supervision, deadlines, context variables, dead letters, deadlock
detection, the tree.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import elsewhere
import llm_common
import ours_durable
import ours_jobs
import ours_journal
import ours_llms
import ours_messages
import ours_nodes
import served
import structlog
from common import Boom, MemoryProbe, clock, main, note, quiet

from benchmarks.serving import agents_app
from miniagents import (
    Actor,
    ActorSystem,
    Message,
    MiniAgent,
    MiniAgents,
    OneForOne,
    SpawnOptions,
    TextMessage,
    gather,
    miniagent,
)


class Msg(Message):
    n: int


class Tok(Message):
    text: str


class Counter(Actor):
    def __init__(self, want: int, done: Any) -> None:
        self.want, self.done, self.seen, self.total = want, done, 0, 0

    async def receive(self, message: Any, ctx: Any) -> None:
        self.total += message.n
        self.seen += 1
        if self.seen == self.want:
            self.done.set_result(self.total)


class Echo(Actor):
    async def receive(self, message: Any, ctx: Any) -> Any:
        return message


class Fragile(Actor):
    async def receive(self, message: Any, ctx: Any) -> None:
        raise Boom


class Recovering(Actor):
    async def receive(self, message: Any, ctx: Any) -> Any:
        if message.n:
            raise Boom
        return message


class Hop(Actor):
    def __init__(self, done: Any) -> None:
        self.next: Any = None
        self.done = done

    async def receive(self, message: Any, ctx: Any) -> None:
        if message.n < 0:
            self.next = ctx.system.lookup(f"/hop-{-message.n - 1}")
        elif message.n:
            self.next.tell(Msg(n=message.n - 1))
        else:
            self.done.set_result(None)


def in_system(fn: Any) -> Callable[..., Any]:
    async def run(n: int) -> Any:
        async with ActorSystem() as system:
            return await fn(system, n)

    if hasattr(fn, "note"):
        run.note = fn.note  # type: ignore[attr-defined]
    return run


async def tell(system: Any, n: int) -> tuple[Any, int]:
    done = asyncio.get_running_loop().create_future()
    ref = system.spawn(Counter, want=n, done=done)
    await ref.started()
    t = clock()
    for i in range(n):
        ref.tell(Msg(n=i))
    total = await done
    t = clock() - t
    assert total == n * (n - 1) // 2
    return t, n


async def ask(system: Any, n: int) -> tuple[Any, int]:
    ref = system.spawn(Echo)
    await ref.started()
    t = clock()
    for i in range(n):
        assert (await ref.ask(Msg(n=i))).n == i
    t = clock() - t
    return t, n


def waves(actors_n: int, wave: int) -> Callable[..., Any]:
    async def run(system: Any, n: int) -> tuple[Any, int]:
        refs = [system.spawn(Echo) for _ in range(actors_n)]
        await refs[-1].started()
        rounds = max(1, n // wave)
        t = clock()
        for _ in range(rounds):
            asks = [refs[i % actors_n].ask(Msg(n=i)) for i in range(wave)]
            got = [await one for one in asks]
            assert len(got) == wave
        t = clock() - t
        return t, rounds * wave

    run.note = "each promise is awaited in turn, which asyncio.gather would wrap in a task"  # type: ignore[attr-defined]
    return run


async def gathered(system: Any, n: int) -> tuple[Any, int]:
    refs = [system.spawn(Echo) for _ in range(10)]
    await refs[-1].started()
    rounds = max(1, n // 1000)
    t = clock()
    for _ in range(rounds):
        got = await gather(*[refs[i % 10].ask(Msg(n=i)) for i in range(1000)])
        assert len(got) == 1000
    t = clock() - t
    return t, rounds * 1000


async def spawn(system: Any, n: int) -> tuple[Any, int]:
    t = clock()
    refs = [system.spawn(Echo) for _ in range(n)]
    await refs[-1].started()
    t = clock() - t
    return t, n


async def stop(system: Any, n: int) -> tuple[Any, int]:
    refs = [system.spawn(Echo) for _ in range(n)]
    await refs[-1].started()
    t = clock()
    ends = [ref.stop() for ref in refs]
    for end in ends:
        await end
    t = clock() - t
    assert not any(ref.is_alive for ref in refs)
    return t, n


async def mem(n: int) -> Any:
    async with ActorSystem() as system:
        warm = [system.spawn(Echo) for _ in range(100)]
        await warm[-1].started()
        with MemoryProbe() as m:
            refs = [system.spawn(Echo) for _ in range(n)]
            await refs[-1].started()
        del refs
        per = m.per(n)
        gc.collect()
        return per


async def ring(system: Any, n: int) -> tuple[Any, int]:
    done = asyncio.get_running_loop().create_future()
    refs = [system.spawn(Hop, name=f"hop-{i}", done=done) for i in range(1000)]
    for i, ref in enumerate(refs):
        await ref.ask(Msg(n=-((i + 1) % 1000) - 1))
    t = clock()
    refs[0].tell(Msg(n=n))
    await done
    t = clock() - t
    return t, n


async def supervised(system: Any, cls: type[Actor]) -> Any:
    """Crash a supervised actor, with a fresh instance for each crash and no pause between restarts."""
    quiet()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    ref = system.spawn(cls, options=SpawnOptions(supervision=OneForOne(max_restarts=None)))
    await ref.started()
    return ref


@note("restarts: each crash makes a fresh instance, under supervision")
async def crash(system: Any, n: int) -> tuple[Any, int]:
    ref = await supervised(system, Fragile)
    t = clock()
    for i in range(n):
        try:
            await ref.ask(Msg(n=i))
        except Boom:
            pass
    t = clock() - t
    return t, n


@note("restarts: a fresh instance answers, which has the mailbox of the one before")
async def recovery(system: Any, n: int) -> tuple[Any, int]:
    ref = await supervised(system, Recovering)
    t = clock()
    for _ in range(n):
        ref.tell(Msg(n=1))
        assert (await ref.ask(Msg(n=0))).n == 0
    t = clock() - t
    return t, n


@miniagent
async def one_reply(ctx: Any) -> None:
    ctx.reply("hello")


def streamer(n: int, live: bool) -> MiniAgent:
    @miniagent
    async def produce(ctx: Any) -> None:
        async def tokens(_: Any) -> AsyncIterator[Any]:
            for _ in range(n):
                yield "tok "
                if live:
                    await asyncio.sleep(0)

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    return produce


@miniagent
async def relay(ctx: Any) -> None:
    async def tokens(_: Any) -> AsyncIterator[Any]:
        async for promise in ctx.message_promises:
            async for token in promise:
                yield token

    ctx.reply(TextMessage.promise(message_token_streamer=tokens))


def stream(live: bool, relays: int = 0) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        async with MiniAgents():
            t = clock()
            seen = 0
            replies = streamer(n, live).inquire()
            for _ in range(relays):
                replies = relay.inquire(replies)
            async for promise in replies:
                async for _ in promise:
                    seen += 1
            t = clock() - t
            assert seen == n
            return t, n

    run.note = "one message streamed token by token"  # type: ignore[attr-defined]
    return run


async def agent_call(n: int) -> tuple[Any, int]:
    async with MiniAgents():
        t = clock()
        for _ in range(n):
            (reply,) = await one_reply.inquire("hi")
            assert reply.content == "hello"  # type: ignore[attr-defined]
        t = clock() - t
        return t, n


async def agent_call_concurrent(n: int) -> tuple[Any, int]:
    async with MiniAgents():
        rounds = max(1, n // 1000)
        t = clock()
        for _ in range(rounds):
            calls = [one_reply.inquire("hi") for _ in range(1000)]
            got = [await call for call in calls]
            assert got[0][0].content == "hello"  # type: ignore[attr-defined]
        t = clock() - t
        return t, rounds * 1000


async def served_stream(n: int) -> tuple[Any, int]:
    return await served.streamed("agents", n)


async def served_mem(n: int) -> float:
    app = agents_app()
    async with app.lifespan():
        return await served.live(app, n)


DEFAULTS = dict(
    tell=200_000, ask=100_000, ask_concurrent=200_000, gather=200_000, ring=100_000, fanout=100_000, spawn=20_000, stop=100_000,
    stream=100_000, stream_live=100_000, stream3=100_000, stream3_live=100_000, crash=50_000, recovery=20_000,
    agent_call=10_000, agent_call_concurrent=10_000,
    flatten=100_000, hash_key=100_000, hash_key_cached=500_000, encode=100_000, decode=100_000,
    spawn_mem=100_000, spawn_mem_million=1_000_000,
    **llm_common.DEFAULTS | dict(model_call=3_000, agent_loop=300, token=50_000, token_read=50_000),
    **ours_journal.DEFAULTS,
    **elsewhere.DEFAULTS,
    **ours_jobs.DEFAULTS,
    **ours_durable.DEFAULTS,
    **ours_nodes.DEFAULTS,
    **served.DEFAULTS,
)  # fmt: skip
WORKLOADS = dict(
    tell=in_system(tell), ask=in_system(ask), ask_concurrent=in_system(waves(100, 1000)), gather=in_system(gathered),
    ring=in_system(ring),
    fanout=in_system(waves(1000, 1000)), spawn=in_system(spawn), stop=in_system(stop),
    stream=stream(False), stream_live=stream(True), stream3=stream(False, relays=2), stream3_live=stream(True, relays=2),
    crash=in_system(crash), recovery=in_system(recovery),
    agent_call=agent_call, agent_call_concurrent=agent_call_concurrent,
    spawn_mem=mem, spawn_mem_million=mem,
    served_stream=served_stream, served_mem=served_mem,
    **ours_messages.WORKLOADS,
    **ours_journal.WORKLOADS,
    **ours_jobs.WORKLOADS,
    **ours_durable.WORKLOADS,
    **ours_nodes.WORKLOADS,
    **ours_llms.WORKLOADS,
    **elsewhere.WORKLOADS,
)  # fmt: skip

if __name__ == "__main__":
    main("miniagents", "miniagents", WORKLOADS, DEFAULTS)
