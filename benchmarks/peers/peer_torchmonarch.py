"""torchmonarch (Monarch): actors in this process (`this_proc().spawn`), no hosts, no torch.

`tell` is `broadcast`, `ask` is `call_one`. Arguments are pickled also inside one process, so results come by messages.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import monarch_nodes
from common import AGENTS, MESSAGES, Boom, MemoryProbe, Msg, Tok, clock, main, note, quiet, unsupported
from monarch.actor import Actor, ActorError, Channel, endpoint, this_proc


class Counter(Actor):
    def __init__(self) -> None:
        self.seen = self.total = 0

    @endpoint
    async def on(self, msg: Any) -> None:
        self.total += msg.n
        self.seen += 1

    @endpoint
    async def report(self) -> Any:
        return self.seen, self.total


class Echo(Actor):
    @endpoint
    async def on(self, msg: Any) -> Any:
        return msg


class Fragile(Actor):
    @endpoint
    async def on(self, msg: Any) -> None:
        raise Boom


class Hop(Actor):
    @endpoint
    async def link(self, to: Any, port: Any) -> None:
        self.next, self.port = to, port

    @endpoint
    async def on(self, msg: Any) -> None:
        if msg.n:
            self.next.on.broadcast(Msg(msg.n - 1))
        else:
            self.port.send(0)


class Consumer(Actor):
    def __init__(self, want: int, port: Any) -> None:
        self.want, self.port = want, port
        self.parts: list[str] = []

    @endpoint
    async def on(self, tok: Any) -> None:
        self.parts.append(tok.text)
        if len(self.parts) == self.want:
            self.port.send("".join(self.parts))


class Relay(Actor):
    def __init__(self, to: Any) -> None:
        self.to = to

    @endpoint
    async def on(self, tok: Any) -> None:
        self.to.on.broadcast(tok)


class Producer(Actor):
    def __init__(self, to: Any, live: bool) -> None:
        self.to, self.live = to, live

    @endpoint
    async def on(self, msg: Any) -> None:
        for _ in range(msg.n):
            self.to.on.broadcast(Tok("tok "))
            if self.live:
                await asyncio.sleep(0)


made = 0


def make(cls: Any, *args: Any) -> Any:
    """Names are unique in a process."""
    global made
    made += 1
    return this_proc().spawn(f"actor{made}", cls, *args)


@note("broadcast, until the last one is handled")
async def tell(n: int) -> tuple[Any, int]:
    actor = make(Counter)
    await actor.report.call_one()
    t = clock()
    for i in range(n):
        actor.on.broadcast(Msg(i))
    seen, total = await actor.report.call_one()
    t = clock() - t
    assert (seen, total) == (n, n * (n - 1) // 2)
    return t, n


async def ask(n: int) -> tuple[Any, int]:
    actor = make(Echo)
    await actor.on.call_one(Msg(0))
    t = clock()
    for i in range(n):
        assert (await actor.on.call_one(Msg(i))).n == i
    return clock() - t, n


FEW = "with 100 actors: each has a thread of its own, and 1,000 of them kept the whole machine busy for minutes"


def waves(actors_n: int, wave: int, why: str | None = None) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        actors = [make(Echo) for _ in range(actors_n)]
        for actor in actors:
            await actor.on.call_one(Msg(0))
        rounds = max(1, n // wave)
        t = clock()
        for _ in range(rounds):
            calls = [actors[i % actors_n].on.call_one(Msg(i)) for i in range(wave)]
            got = [await call for call in calls]
            assert len(got) == wave
        return clock() - t, rounds * wave

    run.note = why  # type: ignore[attr-defined]
    return run


@note(FEW)
async def ring(n: int) -> tuple[Any, int]:
    port, receiver = Channel.open()
    actors = [make(Hop) for _ in range(100)]
    for i, actor in enumerate(actors):
        await actor.link.call_one(actors[(i + 1) % 100], port)
    t = clock()
    actors[0].on.broadcast(Msg(n))
    await receiver.recv()
    return clock() - t, n


@note("until each has answered")
async def spawn(n: int) -> tuple[Any, int]:
    t = clock()
    actors = [make(Echo) for _ in range(n)]
    for call in [actor.on.call_one(Msg(0)) for actor in actors]:
        await call
    return clock() - t, n


async def stop(n: int) -> tuple[Any, int]:
    actors = [make(Echo) for _ in range(n)]
    for actor in actors:
        await actor.on.call_one(Msg(0))
    t = clock()
    for end in [actor.stop("measured") for actor in actors]:
        await end
    return clock() - t, n


def stream(live: bool, relays: int = 0) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        port, receiver = Channel.open()
        last = make(Consumer, n, port)
        for _ in range(relays):
            last = make(Relay, last)
        producer = make(Producer, last, live)
        await producer.on.call_one(Msg(0))
        t = clock()
        producer.on.broadcast(Msg(n))
        text = await receiver.recv()
        t = clock() - t
        assert len(text) == 4 * n
        return t, n

    return run


@note("continues: the exception goes to the caller of call_one and the same instance goes on; logging off")
async def crash(n: int) -> tuple[Any, int]:
    quiet()
    actor = make(Fragile)
    t = clock()
    for i in range(n):
        try:
            await actor.on.call_one(Msg(i))
        except ActorError:
            pass
    return clock() - t, n


@note("at 100")
async def memory(n: int) -> Any:
    warm = [make(Echo) for _ in range(20)]
    for actor in warm:
        await actor.on.call_one(Msg(0))
    with MemoryProbe() as m:
        actors = [make(Echo) for _ in range(n)]
        for actor in actors:
            await actor.on.call_one(Msg(0))
    return m.per(n)


DEFAULTS = dict(
    tell=5_000, ask=2_000, ask_concurrent=3_000, ring=3_000, fanout=3_000, spawn=100, stop=100, stream=3_000,
    stream_live=3_000, stream3=2_000, stream3_live=2_000, crash=500, spawn_mem=100,
)  # fmt: skip

if __name__ == "__main__":
    main(
        "torchmonarch",
        "torchmonarch",
        dict(
            tell=tell, ask=ask, ask_concurrent=waves(100, 1000), ring=ring, fanout=waves(100, 1000, FEW), spawn=spawn,
            stop=stop, stream=stream(False), stream_live=stream(True), stream3=stream(False, relays=2),
            stream3_live=stream(True, relays=2), crash=crash, spawn_mem=memory, **monarch_nodes.WORKLOADS,
            **unsupported("an exception in a broadcast ends the actor, and nothing restarts it", "recovery"),
            **unsupported("no agents: an endpoint returns one value, see ask", *AGENTS),
            **unsupported("no messages of its own: arguments are pickled", *MESSAGES),
        ),
        DEFAULTS | monarch_nodes.DEFAULTS,
        loops=("asyncio",),
    )  # fmt: skip
