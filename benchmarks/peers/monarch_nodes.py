"""torchmonarch with the actors in another process of this machine (`this_host().spawn_procs`)."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from common import clock, note
from monarch.actor import Actor, Channel, endpoint, this_host
from nodes_common import STREAMS, lateness, median_ms


class Adder(Actor):
    def __init__(self) -> None:
        self.total = 0

    @endpoint
    async def add(self, number: int) -> None:
        self.total += number

    @endpoint
    async def sum(self) -> Any:
        return self.total

    @endpoint
    async def ticks(self, tokens: int, port: Any) -> None:
        for _ in range(tokens):
            port.send("tok ")
            await asyncio.sleep(0)

    @endpoint
    async def times(self, tokens: int, pause: float, port: Any) -> None:
        for _ in range(tokens):
            await asyncio.sleep(pause)
            port.send(f"{time.monotonic_ns()} ")


def elsewhere(count: int, measure: Callable[[list[Any], int], Awaitable[Any]]) -> Callable[[int], Awaitable[Any]]:
    """The workload with so many actors in one other process."""

    @functools.wraps(measure)
    async def run(n: int) -> Any:
        procs = this_host().spawn_procs(per_host={"procs": 1})
        try:
            actors = [procs.spawn(f"adder{number}", Adder) for number in range(count)]
            for actor in actors:
                await actor.sum.call_one()
            return await measure(actors, n)
        finally:
            await procs.stop()

    return run


@note("broadcast; until the last is handled")
async def tell(actors: list[Any], n: int) -> tuple[Any, int]:
    began = clock()
    for _ in range(n):
        actors[0].add.broadcast(1)
    assert await actors[0].sum.call_one() == n
    return clock() - began, n


async def ask(actors: list[Any], n: int) -> tuple[Any, int]:
    began = clock()
    for _ in range(n):
        await actors[0].sum.call_one()
    return clock() - began, n


async def asks(actors: list[Any], n: int) -> tuple[Any, int]:
    began = clock()
    for _ in range(n // 1000):
        calls = [actors[number % len(actors)].sum.call_one() for number in range(1000)]
        for call in calls:
            await call
    return clock() - began, n // 1000 * 1000


@note("with 100 actors, as in one process")
async def fanout(actors: list[Any], n: int) -> tuple[Any, int]:
    return await asks(actors, n)


async def _read(begin: Callable[[Any], object], tokens: int, take: Callable[[str], None]) -> None:
    port, receiver = Channel.open()
    begin(port)
    for _ in range(tokens):
        take(await receiver.recv())


@note(f"{STREAMS} streams at once, each a port and an actor")
async def stream(actors: list[Any], n: int) -> tuple[Any, int]:
    each, tokens = n // STREAMS, list[str]()
    began = clock()
    await asyncio.gather(
        *(_read(functools.partial(actor.ticks.broadcast, each), each, tokens.append) for actor in actors)
    )
    return clock() - began, len(tokens)


@note(f"{STREAMS} streams at once, each a port and an actor")
async def late(actors: list[Any], n: int) -> float:
    each, late = n // STREAMS, list[float]()
    await asyncio.gather(
        *(
            _read(
                functools.partial(actor.times.broadcast, each, 0.02), each, lambda token: late.append(lateness(token))
            )
            for actor in actors
        )
    )
    return median_ms(late)


WORKLOADS = dict(
    node_tell=elsewhere(1, tell),
    node_ask=elsewhere(1, ask),
    node_ask_concurrent=elsewhere(1, asks),
    node_fanout=elsewhere(100, fanout),
    node_stream=elsewhere(STREAMS, stream),
    node_late=elsewhere(STREAMS, late),
)
DEFAULTS = dict(
    node_tell=5_000, node_ask=1_000, node_ask_concurrent=5_000, node_fanout=5_000, node_stream=5_000, node_late=5_000
)
