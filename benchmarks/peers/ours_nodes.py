"""Actors of MiniAgents in another process, on a Ray cluster of its own."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from common import clock, note
from nodes_common import STREAMS, lateness, median_ms

from benchmarks.nodes_actors import Add, Adder, Sum, ticking
from benchmarks.nodes_actors import clock as clocking
from miniagents import MiniAgents, SpawnOptions
from miniagents.ext.ray import RayCluster

FAR = SpawnOptions(node="node-1")

Measure = Callable[[MiniAgents, int], Awaitable[Any]]


def on_a_node(measure: Measure) -> Callable[[int], Awaitable[Any]]:
    """The workload with a system that has one node besides the driver."""

    @functools.wraps(measure)
    async def run(n: int) -> Any:
        async with MiniAgents(cluster=RayCluster(nodes=1, modules=["benchmarks.nodes_actors"])) as system:
            return await measure(system, n)

    return run


async def _adders(system: MiniAgents, count: int) -> list[Any]:
    adders = [system.spawn(Adder, options=FAR) for _ in range(count)]
    await asyncio.gather(*(adder.ask(Sum()) for adder in adders))
    return adders


@note("in order; until the last is handled")
async def tell(system: MiniAgents, n: int) -> tuple[Any, int]:
    (adder,) = await _adders(system, 1)
    began = clock()
    for number in range(n):
        adder.tell(Add(number=1))
        if number % 500 == 0:
            await asyncio.sleep(0)
    assert (await adder.ask(Sum())).total == n
    return clock() - began, n


async def ask(system: MiniAgents, n: int) -> tuple[Any, int]:
    (adder,) = await _adders(system, 1)
    began = clock()
    for _ in range(n):
        await adder.ask(Sum())
    return clock() - began, n


async def asks(actors: int, system: MiniAgents, n: int) -> tuple[Any, int]:
    adders = await _adders(system, actors)
    wave = max(actors, 1000)
    began = clock()
    for _ in range(n // wave):
        await asyncio.gather(*(adders[number % actors].ask(Sum()) for number in range(wave)))
    return clock() - began, n // wave * wave


@note(f"{STREAMS} streams at once, each of an agent")
async def stream(system: MiniAgents, n: int) -> tuple[Any, int]:
    agent = system.spawn(ticking, options=FAR)
    await agent.inquire(tokens=1)

    async def read() -> int:
        count = 0
        async for message in agent.inquire(tokens=n // STREAMS):
            async for _ in message:
                count += 1
        return count

    began = clock()
    counts = await asyncio.gather(*(read() for _ in range(STREAMS)))
    return clock() - began, sum(counts)


async def late(system: MiniAgents, n: int) -> float:
    agent = system.spawn(clocking, options=FAR)
    late: list[float] = []

    async def read() -> None:
        async for message in agent.inquire(tokens=n // STREAMS, pause=0.02):
            async for token in message:
                late.append(lateness(str(token)))

    await asyncio.gather(*(read() for _ in range(STREAMS)))
    return median_ms(late)


WORKLOADS = dict(
    node_tell=on_a_node(tell),
    node_ask=on_a_node(ask),
    node_ask_concurrent=on_a_node(functools.partial(asks, 1)),
    node_fanout=on_a_node(functools.partial(asks, 1000)),
    node_stream=on_a_node(stream),
    node_late=on_a_node(late),
)
DEFAULTS = dict(
    node_tell=200_000, node_ask=1_000, node_ask_concurrent=20_000, node_fanout=20_000, node_stream=200_000,
    node_late=5_000,
)  # fmt: skip
