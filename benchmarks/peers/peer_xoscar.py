"""Xoscar: all actors in the main pool of one process (n_process=0), called from inside that process.

A ref to an actor of the same process calls its method directly, under the actor's asyncio.Lock; `tell` makes a task.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import xoscar as xo
from common import AGENTS, MESSAGES, Boom, MemoryProbe, Msg, Tok, clock, main, note, quiet, unsupported


class Counter(xo.Actor):
    def __init__(self, want: int, done: Any) -> None:
        self.want, self.done, self.seen, self.total = want, done, 0, 0

    async def on(self, msg: Any) -> None:
        self.total += msg.n
        self.seen += 1
        if self.seen == self.want:
            self.done.set_result(self.total)


class Echo(xo.Actor):
    async def on(self, msg: Any) -> Any:
        return msg


class Fragile(xo.Actor):
    async def on(self, msg: Any) -> None:
        raise Boom


class Hop(xo.Actor):
    def __init__(self, done: Any) -> None:
        self.next: Any = None
        self.done = done

    async def link(self, to: Any) -> None:
        self.next = to

    async def on(self, msg: Any) -> None:
        if msg.n:
            await self.next.on.tell(Msg(msg.n - 1))
        else:
            self.done.set_result(None)


class Consumer(xo.Actor):
    def __init__(self, want: int, done: Any) -> None:
        self.want, self.done = want, done
        self.parts: list[str] = []

    async def on(self, tok: Any) -> None:
        self.parts.append(tok.text)
        if len(self.parts) == self.want:
            self.done.set_result("".join(self.parts))


class Relay(xo.Actor):
    def __init__(self, to: Any) -> None:
        self.to = to

    async def on(self, tok: Any) -> None:
        await self.to.on.tell(tok)


class Recovering(xo.Actor):
    async def on(self, msg: Any) -> Any:
        if msg.n:
            raise Boom
        return msg


class Producer(xo.Actor):
    def __init__(self, to: Any) -> None:
        self.to = to

    async def on(self, msg: Any) -> None:
        for _ in range(msg.n):
            await self.to.on.tell(Tok("tok "))


def in_pool(fn: Any) -> Callable[..., Any]:
    async def run(n: int) -> Any:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        pool = await xo.create_actor_pool(f"127.0.0.1:{port}", n_process=0)
        async with pool:
            return await fn(pool.external_address, n)

    if hasattr(fn, "note"):
        run.note = fn.note  # type: ignore[attr-defined]
    return run


async def make(cls: Any, address: Any, *args: Any) -> Any:
    """Create an actor and take the ref that its own process would use (direct calls rather than messages)."""
    ref = await xo.create_actor(cls, *args, address=address)
    return await xo.actor_ref(ref)


@note("tell is awaited as documented: one task and one loop turn per message")
async def tell(address: Any, n: int) -> tuple[Any, int]:
    done = asyncio.get_running_loop().create_future()
    ref = await make(Counter, address, n, done)
    t = clock()
    for i in range(n):
        await ref.on.tell(Msg(i))
    total = await done
    t = clock() - t
    assert total == n * (n - 1) // 2
    return t, n


@note(
    "a ref of the same process runs the method in the caller's task, under the actor's lock: no mailbox, no loop turn"
)
async def ask(address: Any, n: int) -> tuple[Any, int]:
    ref = await make(Echo, address)
    t = clock()
    for i in range(n):
        assert (await ref.on(Msg(i))).n == i
    t = clock() - t
    return t, n


def waves(actors_n: int, wave: int) -> Callable[..., Any]:
    async def run(address: Any, n: int) -> tuple[Any, int]:
        refs = [await make(Echo, address) for _ in range(actors_n)]
        rounds = max(1, n // wave)
        t = clock()
        for _ in range(rounds):
            got = await asyncio.gather(*[refs[i % actors_n].on(Msg(i)) for i in range(wave)])
            assert len(got) == wave
        t = clock() - t
        return t, rounds * wave

    return run


@note("1,000 create_actor calls at a time (gather)")
async def spawn(address: Any, n: int) -> tuple[Any, int]:
    t = clock()
    for _ in range(max(1, n // 1000)):
        await asyncio.gather(*[xo.create_actor(Echo, address=address) for _ in range(min(n, 1000))])
    t = clock() - t
    return t, max(1, n // 1000) * min(n, 1000)


@note("1,000 destroy_actor calls at a time (gather)")
async def stop(address: Any, n: int) -> tuple[Any, int]:
    refs = [await make(Echo, address) for _ in range(n)]
    t = clock()
    for i in range(0, n, 1000):
        await asyncio.gather(*[xo.destroy_actor(ref) for ref in refs[i : i + 1000]])
    t = clock() - t
    return t, n


async def mem(address: Any, n: int) -> Any:
    warm = [await xo.create_actor(Echo, address=address) for _ in range(100)]
    with MemoryProbe() as m:
        refs = [await xo.create_actor(Echo, address=address) for _ in range(n)]
    del warm, refs
    return m.per(n)


async def ring(address: Any, n: int) -> tuple[Any, int]:
    done = asyncio.get_running_loop().create_future()
    refs = [await make(Hop, address, done) for _ in range(1000)]
    for i, r in enumerate(refs):
        await r.link(refs[(i + 1) % 1000])
    t = clock()
    await refs[0].on.tell(Msg(n))
    await done
    t = clock() - t
    return t, n


def stream(relays: int = 0) -> Callable[..., Any]:
    async def run(address: Any, n: int) -> tuple[Any, int]:
        done = asyncio.get_running_loop().create_future()
        last = await make(Consumer, address, n, done)
        for _ in range(relays):
            last = await make(Relay, address, last)
        producer = await make(Producer, address, last)
        t = clock()
        await producer.on.tell(Msg(n))
        text = await done
        t = clock() - t
        assert len(text) == 4 * n
        return t, n

    return run


@note("continues: the same instance answers; logging off")
async def recovery(address: Any, n: int) -> tuple[Any, int]:
    quiet()
    ref = await make(Recovering, address)
    t = clock()
    for _ in range(n):
        await ref.on.tell(Msg(1))
        assert (await ref.on(Msg(0))).n == 0
    t = clock() - t
    return t, n


@note(
    "continues: the exception goes to the caller and the same instance goes on; only whole subprocesses are restarted"
)
async def crash(address: Any, n: int) -> tuple[Any, int]:
    quiet()
    ref = await make(Fragile, address)
    t = clock()
    for i in range(n):
        try:
            await ref.on(Msg(i))
        except Boom:
            pass
    t = clock() - t
    return t, n


DEFAULTS = dict(
    tell=100_000, ask=100_000, ask_concurrent=50_000, ring=100_000, fanout=50_000, spawn=3_000, stop=3_000,
    stream=100_000, stream3=50_000, crash=50_000, recovery=5_000, spawn_mem=100_000,
)  # fmt: skip

if __name__ == "__main__":
    main(
        "xoscar",
        "xoscar",
        dict(
            tell=in_pool(tell), ask=in_pool(ask), ask_concurrent=in_pool(waves(100, 1000)), ring=in_pool(ring),
            fanout=in_pool(waves(1000, 1000)), spawn=in_pool(spawn), stop=in_pool(stop), stream=in_pool(stream()),
            stream3=in_pool(stream(relays=2)), crash=in_pool(crash), recovery=in_pool(recovery), spawn_mem=in_pool(mem),
            **unsupported("its tell lets the loop turn anyway, see stream", "stream_live", "stream3_live"),
            **unsupported("no agents: an actor method returns one value, see ask", *AGENTS),
            **unsupported("no messages of its own: any object goes", *MESSAGES),
        ),
        DEFAULTS,
    )  # fmt: skip
