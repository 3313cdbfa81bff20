"""The event loop alone, uvloop: the limit of all actor libraries on it. Only callbacks and futures, without mailboxes."""

import asyncio
from typing import Any

from common import AGENTS, MESSAGES, Boom, MemoryProbe, Msg, clock, main, note, unsupported


@note("call_soon for each message; the callback counts it")
async def tell(n: int) -> tuple[Any, int]:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    seen = total = 0

    def handle(msg: Any) -> None:
        nonlocal seen, total
        total += msg.n
        seen += 1
        if seen == n:
            done.set_result(total)

    t = clock()
    for i in range(n):
        loop.call_soon(handle, Msg(i))
    total = await done
    t = clock() - t
    assert total == n * (n - 1) // 2
    return t, n


def answer(future: Any, msg: Any) -> None:
    future.set_result(msg)


@note("a future, which a callback of the next turn resolves")
async def ask(n: int) -> tuple[Any, int]:
    loop = asyncio.get_running_loop()
    t = clock()
    for i in range(n):
        future = loop.create_future()
        loop.call_soon(answer, future, Msg(i))
        assert (await future).n == i
    return clock() - t, n


@note("1,000 futures, which callbacks of the next turn resolve")
async def ask_concurrent(n: int) -> tuple[Any, int]:
    loop = asyncio.get_running_loop()
    rounds = max(1, n // 1000)
    t = clock()
    for _ in range(rounds):
        futures = [loop.create_future() for _ in range(1000)]
        for i, future in enumerate(futures):
            loop.call_soon(answer, future, Msg(i))
        got = [await future for future in futures]
        assert len(got) == 1000
    return clock() - t, rounds * 1000


@note("a callback that calls for the next one")
async def ring(n: int) -> tuple[Any, int]:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def hop(msg: Any) -> None:
        if msg.n:
            loop.call_soon(hop, Msg(msg.n - 1))
        else:
            done.set_result(None)

    t = clock()
    loop.call_soon(hop, Msg(n))
    await done
    return clock() - t, n


async def wait(future: Any) -> None:
    await future


def waiting(n: int) -> Any:
    loop = asyncio.get_running_loop()
    return [loop.create_task(wait(loop.create_future())) for _ in range(n)]


async def end(tasks: Any) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        try:
            await task
        except asyncio.CancelledError:
            pass


@note("tasks, each waiting for a future")
async def spawn(n: int) -> tuple[Any, int]:
    t = clock()
    tasks = waiting(n)
    await asyncio.sleep(0)
    t = clock() - t
    await end(tasks)
    return t, n


@note("tasks, each waiting for a future")
async def stop(n: int) -> tuple[Any, int]:
    tasks = waiting(n)
    await asyncio.sleep(0)
    t = clock()
    await end(tasks)
    return clock() - t, n


@note("one task that lets the loop turn")
async def stream_live(n: int) -> tuple[Any, int]:
    t = clock()
    for _ in range(n):
        await asyncio.sleep(0)
    return clock() - t, n


async def fail() -> None:
    raise Boom


@note("a new task for each, which raises")
async def crash(n: int) -> tuple[Any, int]:
    loop = asyncio.get_running_loop()
    t = clock()
    for _ in range(n):
        try:
            await loop.create_task(fail())
        except Boom:
            pass
    return clock() - t, n


@note("a task and the future that it waits for")
async def memory(n: int) -> Any:
    warm = waiting(100)
    await asyncio.sleep(0)
    with MemoryProbe() as m:
        tasks = waiting(n)
        await asyncio.sleep(0)
    await end([*warm, *tasks])
    return m.per(n)


DEFAULTS = dict(
    tell=200_000, ask=100_000, ask_concurrent=200_000, ring=100_000, spawn=20_000, stop=100_000, stream_live=100_000,
    crash=50_000, spawn_mem=100_000,
)  # fmt: skip

if __name__ == "__main__":
    main(
        "event-loop",
        None,
        dict(
            tell=tell, ask=ask, ask_concurrent=ask_concurrent, ring=ring, spawn=spawn, stop=stop,
            stream_live=stream_live, crash=crash, spawn_mem=memory,
            **unsupported("the same as ask_concurrent: there are no actors", "fanout"),
            **unsupported("nobody consumes: see raw-deque", "stream", "stream3", "stream3_live"),
            **unsupported("there is nothing that lives on", "recovery"),
            **unsupported("no agents, see ask", *AGENTS),
            **unsupported("no messages of its own, see msgspec", *MESSAGES),
        ),
        DEFAULTS,
    )  # fmt: skip
