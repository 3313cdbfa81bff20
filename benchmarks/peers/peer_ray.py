"""Ray: plain async actors, each in a process of its own, called as Ray's documentation does."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import ray
from common import clock, main, note
from nodes_common import STREAMS, lateness, median_ms

ACTORS = 4
"""The actors of `node_fanout`: each is a process."""


class Adder:
    def __init__(self) -> None:
        self.total = 0

    async def add(self, number: int) -> None:
        self.total += number

    async def sum(self) -> int:
        return self.total

    async def ticks(self, tokens: int) -> AsyncIterator[str]:
        for _ in range(tokens):
            yield "tok "

    async def times(self, tokens: int, pause: float) -> AsyncIterator[str]:
        for _ in range(tokens):
            await asyncio.sleep(pause)
            yield f"{time.monotonic_ns()} "


def in_ray(measure: Callable[[int], Awaitable[Any]]) -> Callable[[int], Awaitable[Any]]:
    @functools.wraps(measure)
    async def run(n: int) -> Any:
        ray.init(include_dashboard=False, log_to_driver=False, object_store_memory=80 * 2**20, num_cpus=ACTORS)
        try:
            return await measure(n)
        finally:
            ray.shutdown()

    return run


async def actors(count: int) -> list[Any]:
    remote: Any = ray.remote(Adder)
    made = [remote.options(num_cpus=0, max_concurrency=1000).remote() for _ in range(count)]
    for actor in made:
        await actor.sum.remote()
    return made


@note("in no order: async actors of Ray keep none; until the last has returned")
async def tell(n: int) -> tuple[Any, int]:
    (actor,) = await actors(1)
    began = clock()
    ray.get([actor.add.remote(1) for _ in range(n)])
    assert await actor.sum.remote() == n
    return clock() - began, n


async def ask(n: int) -> tuple[Any, int]:
    (actor,) = await actors(1)
    began = clock()
    for _ in range(n):
        await actor.sum.remote()
    return clock() - began, n


def asks(count: int, text: str) -> Callable[[int], Awaitable[Any]]:
    async def run(n: int) -> tuple[Any, int]:
        made = await actors(count)
        began = clock()
        for _ in range(n // 1000):
            ray.get([made[number % count].sum.remote() for number in range(1000)])
        return clock() - began, n // 1000 * 1000

    run.note = text  # type: ignore[attr-defined]
    return run


async def _read(refs: Any, take: Callable[[str], None]) -> None:
    async for ref in refs:
        take(await ref)


@note(f"{STREAMS} streams at once, each a generator")
async def stream(n: int) -> tuple[Any, int]:
    (actor,) = await actors(1)
    tokens: list[str] = []
    began = clock()
    streams = [actor.ticks.options(num_returns="streaming").remote(n // STREAMS) for _ in range(STREAMS)]
    await asyncio.gather(*(_read(refs, tokens.append) for refs in streams))
    return clock() - began, len(tokens)


async def late(n: int) -> float:
    (actor,) = await actors(1)
    late: list[float] = []
    streams = [actor.times.options(num_returns="streaming").remote(n // STREAMS, 0.02) for _ in range(STREAMS)]
    await asyncio.gather(*(_read(refs, lambda token: late.append(lateness(token))) for refs in streams))
    return median_ms(late)


WORKLOADS = dict(
    node_tell=in_ray(tell),
    node_ask=in_ray(ask),
    node_ask_concurrent=in_ray(asks(1, "1,000 at once to one actor")),
    node_fanout=in_ray(asks(ACTORS, f"1,000 at once to {ACTORS} actors: each is a process")),
    node_stream=in_ray(stream),
    node_late=in_ray(late),
)
DEFAULTS = dict(
    node_tell=5_000, node_ask=1_000, node_ask_concurrent=5_000, node_fanout=5_000, node_stream=5_000, node_late=5_000
)

if __name__ == "__main__":
    main("ray", "ray", WORKLOADS, DEFAULTS, loops=("asyncio",))
