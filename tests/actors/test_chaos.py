"""Chaos: a thousand actors in three levels, and everything that can go wrong, for half a minute of virtual time."""

import asyncio
import gc
from random import Random
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    ChildSpec,
    EventKind,
    Message,
    OneForAll,
    OneForOne,
    Restart,
    RestForOne,
    SpawnOptions,
    Supervisor,
    TextMessage,
)
from miniagents.actors.messaging.ref import ActorRef

pytestmark = pytest.mark.slow


class Job(Message):
    id: int
    what: str


class Chaotic(Actor):
    """Does what a job says, and keeps a book of what became of it."""

    def __init__(self, book: dict[int, str]) -> None:
        self.book = book

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        assert isinstance(message, Job)
        self.book[message.id] = "begun"
        if message.what == "crash":
            raise ValueError(f"job {message.id}")
        if message.what == "hang":
            await asyncio.sleep(1000)
        if message.what == "wait":
            await asyncio.sleep(0.5)
        self.book[message.id] = "done"
        return TextMessage(str(message.id))


GROUPS, SIZE = 32, 31


def tree(book: dict[int, str]) -> Supervisor:
    options = SpawnOptions(handler_timeout=2.0)
    strategies = (OneForOne, OneForAll, RestForOne)

    def group(n: int) -> Supervisor:
        children = [
            ChildSpec(f"a{k}", Chaotic, restart=Restart.PERMANENT, shutdown=1.0, kwargs={"book": book}, options=options)
            for k in range(SIZE)
        ]
        return Supervisor(f"g{n}", strategy=strategies[n % 3](max_restarts=20, within=1.0), children=children)

    groups = [ChildSpec(f"g{n}", group(n)) for n in range(GROUPS)]
    return Supervisor("top", strategy=OneForOne(max_restarts=None), children=groups)


async def one_run(seed: int) -> dict[str, int]:
    random = Random(seed)
    book: dict[int, str] = {}
    asks: dict[int, Any] = {}
    crashes = 0
    tasks = asyncio.all_tasks()
    async with ActorSystem(dead_letters_kept=1_000_000) as system:
        events = system.events.subscribe()
        await system.supervise(tree(book))
        loop = asyncio.get_running_loop()
        assert count(system) > 1000
        end = loop.time() + 30
        number = 0
        while loop.time() < end:
            for _ in range(random.randint(1, 20)):
                ref = pick(system, random)
                if ref is None:
                    continue
                number += 1
                what = random.choices(("work", "wait", "crash", "hang"), (70, 20, 9, 1))[0]
                asks[number] = ref.ask(Job(number, what), timeout=random.choice((None, 1.0, 5.0)))
                if random.random() < 0.05:
                    loop.call_later(random.random(), asks[number].cancel, "chaos")
            if random.random() < 0.05:
                ref = pick(system, random)
                if ref is not None:
                    random.choice((ref.stop, ref.kill))()
            await asyncio.sleep(random.random() * 0.05)
    assert all(ask.done() for ask in asks.values())
    assert asyncio.all_tasks() == tasks
    async for event in events:
        if event.kind is EventKind.CRASH:
            crashes += 1
    dead = {letter.message.id for letter in system.dead_letters}
    outcomes = {"answered": 0, "failed": 0}
    for number, ask in asks.items():
        failed = ask.exception() is not None
        outcomes["failed" if failed else "answered"] += 1
        # No message is lost: it was begun, is a dead letter, or was taken back by who had sent it.
        taken_back = failed and type(ask.exception()).__name__ == "PromiseCancelledError"
        assert number in book or number in dead or taken_back, number
        if not failed:
            assert book[number] == "done"
    assert crashes > 100
    return outcomes


def pick(system: ActorSystem, random: Random) -> ActorRef | None:
    return system.lookup(f"/top/g{random.randrange(GROUPS)}/a{random.randrange(SIZE)}")


def count(system: ActorSystem) -> int:
    stack, found = [system.tree()], 0
    while stack:
        info = stack.pop()
        found += 1
        stack += info.children
    return found


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_ask_settles_and_no_message_is_lost_and_no_task_is_left(seed: int) -> None:
    outcomes = await one_run(seed)
    assert outcomes["answered"] > 1000
    assert outcomes["failed"] > 100


async def test_memory_returns_to_where_it_was() -> None:
    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    await one_run(3)
    before = objects()
    for seed in (4, 5):
        await one_run(seed)
    assert objects() - before < 500
