"""Nodes on Ray under a load that does not end: nothing of them grows, and what is cancelled leaves nothing running."""

import asyncio
import statistics
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil

from miniagents import MiniAgents, SpawnOptions
from miniagents.errors import MailboxFullError
from miniagents.ext.ray import RayCluster
from tests.soak.nodes_actors import Count, Counter, Hang, Hanging, Running, Sum, counting

NODES = 2
TELLS = 2_000
ASKS = 100
STREAMS = 10
TOKENS = 200
LOOKS = 40
"""How often the memory is read."""

GROWTH = 1.05
SLACK = 1.0
"""Sizes are flat if those of the last quarter are at most so many times those of the second one, and so many MiB."""

CANCELLED = 500


class Sizes(msgspec.Struct):
    """The sizes at one moment, in MiB.

    Attributes:
        driver: The memory of the program.
        node: Of the largest process of a node.
        raylet: Of the largest raylet.
        store: Of the metadata store.
        logs: The files in the folder of the logs.
    """

    driver: float
    node: float
    raylet: float
    store: float
    logs: float


class Figures(msgspec.Struct):
    """What came of the load.

    Attributes:
        seconds: How long it took.
        tells: How many messages were told.
        asks: How many questions were answered.
        tokens: How many tokens were read.
        sizes: The sizes, read at equal distances.
    """

    seconds: float = 0.0
    tells: int = 0
    asks: int = 0
    tokens: int = 0
    sizes: list[Sizes] = []

    def compared(self) -> dict[str, tuple[float, float]]:
        """Return the median sizes in the second quarter of the time and in the last one, by their names."""
        quarter = len(self.sizes) // 4
        early, late = self.sizes[quarter : 2 * quarter], self.sizes[-quarter:]
        return {name: (_median(early, name), _median(late, name)) for name in Sizes.__struct_fields__}

    def grown(self) -> dict[str, tuple[float, float]]:
        """Return those of them that are not flat."""
        return {name: pair for name, pair in self.compared().items() if pair[1] > pair[0] * GROWTH + SLACK}

    def table(self) -> str:
        """Return them as a table."""
        rows = [f"| {name} | {early:.1f} | {late:.1f} |" for name, (early, late) in self.compared().items()]
        return "\n".join(["| | second quarter | last quarter |", "|---|---:|---:|", *rows])


def _median(sizes: list[Sizes], name: str) -> float:
    values: list[float] = [getattr(size, name) for size in sizes]
    return statistics.median(values)


async def play(seconds: float, pause: float = 0.0, cancelled: int = CANCELLED) -> Figures:
    """Load two nodes, and then ask and call what is cancelled at once.

    Args:
        seconds: For how long they are loaded.
        pause: Seconds between two rounds of each kind of load; 0 for as much as they take.
        cancelled: How many questions and streams are cancelled.

    Raises:
        AssertionError: A message was lost, or something that was cancelled still runs.
    """
    figures, began = Figures(), time.monotonic()
    cluster = RayCluster(nodes=NODES, modules=["tests.soak.nodes_actors"], lease=60.0)  # the machine may be busy
    async with MiniAgents(cluster=cluster) as system:
        places = [SpawnOptions(node=f"node-{number}") for number in range(1, NODES + 1)]
        counters = [system.spawn(Counter, options=place) for place in places]
        agents = [system.spawn(counting, options=place) for place in places]
        load = [asyncio.create_task(_for_ever(work, pause)) for work in _works(counters, agents, figures)]
        while not (figures.tells and figures.asks and figures.tokens) and not any(task.done() for task in load):
            await asyncio.wait(load, timeout=0.05)
        for look in range(LOOKS + 1):
            await asyncio.wait(load, timeout=max(0.0, began + look * seconds / LOOKS - time.monotonic()))
            if any(task.done() for task in load):
                break  # it has failed
            figures.sizes.append(_sizes(cluster))
        for task in load:
            task.cancel()
        for ended in await asyncio.gather(*load, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        total = sum([(await counter.ask(Sum())).total for counter in counters])
        assert total == figures.tells, f"{figures.tells} messages were told, and {total} have arrived"
        await _cancel(system, cancelled)
    figures.seconds = time.monotonic() - began
    return figures


async def _for_ever(work: Any, pause: float) -> None:
    while True:
        await work()
        await asyncio.sleep(pause)


def _works(counters: list[Any], agents: list[Any], figures: Figures) -> Iterator[Any]:
    for counter, agent in zip(counters, agents, strict=True):

        async def tell(counter: Any = counter) -> None:
            for _ in range(TELLS):
                try:
                    counter.tell(Count())
                except MailboxFullError:
                    await asyncio.sleep(0.01)
                else:
                    figures.tells += 1

        async def ask(counter: Any = counter) -> None:
            await asyncio.gather(*(counter.ask(Sum()) for _ in range(ASKS)))
            figures.asks += ASKS

        async def read(agent: Any) -> None:
            async for message in agent.inquire(tokens=TOKENS):
                async for _ in message:
                    figures.tokens += 1

        async def stream(agent: Any = agent) -> None:
            await asyncio.gather(*(read(agent) for _ in range(STREAMS)))

        yield from (tell, ask, stream)


def _sizes(cluster: RayCluster) -> Sizes:
    own = cluster._ray_launcher.own
    assert own is not None
    nodes = [life.pid for life in cluster._ray_launcher._lives.values() if life.pid is not None]
    return Sizes(
        driver=_memory(psutil.Process().pid),
        node=max(map(_memory, nodes)),
        raylet=max(map(_memory, (*own.raylets.values(), own.head_pid))),
        store=_memory(own.store_pid),
        logs=_size(own.folder),
    )


def _memory(pid: int) -> float:
    size: int = psutil.Process(pid).memory_info().rss
    return size / 2**20


def _size(folder: Path) -> float:
    size = 0
    for file in folder.rglob("logs/*"):
        with suppress(OSError):  # Ray has removed it
            size += file.stat().st_size
    return size / 2**20


async def _cancel(system: MiniAgents, count: int) -> None:
    """Ask and call so many times on a node, cancel all after 100 ms, and look whether anything still runs there."""
    place = SpawnOptions(node="node-1")
    counter, agent = system.spawn(Counter, options=place), system.spawn(counting, options=place)
    hanging = [system.spawn(Hanging, options=place) for _ in range(count)]
    await asyncio.gather(*(actor.started() for actor in hanging))
    asks: list[Any] = [actor.ask(Hang()) for actor in hanging]
    calls: list[Any] = [agent.inquire(tokens=10_000, pause=0.01) for _ in range(count)]
    await asyncio.sleep(0.1)
    ends: list[Coroutine[Any, Any, None]] = [promise.aclose() for promise in (*asks, *calls)]
    await asyncio.gather(*ends)
    running = (await counter.ask(Running())).total
    assert running == 0, f"{running} handlers and streams still run"
