"""Messages between processes on Ray, beside plain calls of Ray actors: `python -m benchmarks.nodes [nodes]`.

It starts a Ray cluster of its own on this machine with that many nodes (2 by default), and prints JSON: messages per
second, milliseconds of a round trip and of frames of some sizes, and by how much tokens of 50 streams, each of 50
tokens/s, come later than those of agents in the process of the reader.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from benchmarks.nodes_actors import Add, Adder, BareAdder, Sum, clock
from miniagents import MiniAgents, Placement, SpawnOptions
from miniagents.ext.ray import RayCluster
from miniagents.ext.ray.transport import pieces_of

TELLS = 50_000
BARE_CALLS = 2_000
ASKS = 2_000
ROUND_TRIPS = 200
STREAMS = 50
TOKENS = 150
PAUSE = 0.02

SPREAD = SpawnOptions(placement=Placement.SPREAD)


async def tells(adders: list[Any]) -> float:
    """Return the messages per second to some actors, until all have counted theirs."""
    began = time.perf_counter()
    for number in range(TELLS):
        adders[number % len(adders)].tell(Add(number=1))
        if number % 500 == 0:
            await asyncio.sleep(0)
    before = [adder.ask(Sum()) for adder in adders]
    await asyncio.gather(*before)
    return TELLS / (time.perf_counter() - began)


async def at_once(ask: Callable[[], Awaitable[object]], count: int) -> float:
    """Return the answers per second of many questions that are asked together."""
    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(count)))
    return count / (time.perf_counter() - began)


async def round_trip(ask: Callable[[], Awaitable[object]]) -> float:
    """Return the median time of a question and its answer, in milliseconds."""
    times = []
    for _ in range(ROUND_TRIPS):
        began = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


async def lateness(agents: list[Any]) -> float:
    """Return the median time from the making of a token to its reader, in milliseconds."""
    late: list[float] = []

    async def read(agent: Any) -> None:
        async for message in agent.inquire("go"):
            async for token in message:
                late.append((time.monotonic_ns() - int(str(token))) / 1e6)

    await asyncio.gather(*(read(agent) for agent in agents))
    return statistics.median(late)


async def measure(nodes: int) -> dict[str, float]:
    """Measure all.

    Args:
        nodes: The number of nodes besides the driver.

    Returns:
        The figures by their names.
    """
    cluster = RayCluster(nodes=nodes, modules=["benchmarks.nodes_actors"])
    began = time.perf_counter()
    async with MiniAgents(cluster=cluster) as system:
        figures = {"start_seconds": time.perf_counter() - began}
        adders = [system.spawn(Adder, options=SPREAD) for _ in range(nodes)]
        await asyncio.gather(*(adder.started() for adder in adders))
        bare = bare_actor(cluster)
        await bare.sum.remote()

        async def bare_add() -> None:
            await bare.add.remote(1)

        figures["tells_per_second"] = await tells(adders[:1])
        figures["bare_calls_per_second"] = await at_once(bare_add, BARE_CALLS)
        figures["tells_to_all_nodes_per_second"] = await tells(adders)
        figures["ask_ms"] = await round_trip(lambda: adders[0].ask(Sum()))
        figures["bare_call_ms"] = await round_trip(bare_add)
        figures["asks_at_once_per_second"] = await at_once(lambda: adders[0].ask(Sum()), ASKS)
        figures |= await frames(bare)
        near = [system.spawn(clock, tokens=TOKENS, pause=PAUSE) for _ in range(STREAMS)]
        far = [system.spawn(clock, tokens=TOKENS, pause=PAUSE, options=SPREAD) for _ in range(STREAMS)]
        figures["token_late_ms"] = await lateness(near)
        figures["token_of_node_late_ms"] = await lateness(far)
        figures["token_added_ms"] = figures["token_of_node_late_ms"] - figures["token_late_ms"]
        return figures


async def frames(bare: Any) -> dict[str, float]:
    """Return the milliseconds of a call that carries a frame, below and above what Ray carries within the call: the
    whole frame as one argument, and cut into pieces, each of which travels within the call."""
    figures = {}

    async def carry(*arguments: bytes) -> None:
        await bare.take.remote(*arguments)

    for kib in (1, 96, 104, 256, 1024):
        frame = os.urandom(kib * 1024)
        pieces = list(pieces_of(frame))
        figures[f"frame_of_{kib}_kib_whole_ms"] = await round_trip(partial(carry, frame))
        figures[f"frame_of_{kib}_kib_in_pieces_ms"] = await round_trip(partial(carry, *pieces))
    return figures


def bare_actor(cluster: RayCluster) -> Any:
    """Start a plain actor of Ray."""
    return cluster.ray.remote(BareAdder).options(num_cpus=0).remote()


if __name__ == "__main__":
    measured = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 2))
    print(json.dumps({name: round(value, 2) for name, value in measured.items()}, indent=2))
