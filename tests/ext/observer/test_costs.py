"""What the page costs: counted, not timed."""

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from miniagents import Actor, InteractionContext, MiniAgents, TextMessage, miniagent
from miniagents.ext.observer import WebObserver
from tests.ext.observer.observed import observed

ACTORS = 10_000
MESSAGES = 50_000
"""The messages a second that are behind the page."""


class Tiny(Actor):
    async def receive(self, message: Any, ctx: Any) -> None:
        pass


async def calls_of(work: Callable[[], Awaitable[object]]) -> int:
    """How many Python functions are called meanwhile."""
    calls = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(note)
    try:
        await work()
    finally:
        sys.setprofile(None)
    return calls


async def watched(observer: WebObserver, looks: dict[str, Any], seconds: int) -> int:
    """The calls a second of a page that looks, in the rhythm of a connection, of virtual time."""
    sections = observer.app.sections_of()
    due: dict[str, float] = {}
    calls = 0
    clock = asyncio.get_running_loop().time
    for _ in range(seconds * 5):
        for name, look in looks.items():
            if clock() >= due.get(name, 0.0):
                period, compute = sections[name]
                due[name] = clock() + period - 0.01

                async def one(compute: Any = compute, look: Any = look) -> None:
                    await compute(look)

                calls += await calls_of(one)
        await asyncio.sleep(0.2)
    return calls // seconds


def per_message(calls: int) -> float:
    return calls / 5_000


async def test_a_page_that_looks_at_ten_thousand_actors_adds_two_percent_of_the_calls_of_their_messages() -> None:
    message = TextMessage("x")
    async with observed() as (system, observer):
        many = [system.spawn(Tiny) for _ in range(ACTORS)]
        await many[-1].started()

        async def tell() -> None:
            for ref in many[:5_000]:
                ref.tell(message)
            await many[4_999].ask(message)

        of_messages = per_message(await calls_of(tell)) * MESSAGES
        overview = {"summary": {}, "samples": {}, "sky": {}, "calls": {"count": 8}, "happenings": {"count": 8}}
        tree = {"summary": {}, "tree": {"count": 40}}
        member = {
            "summary": {},
            "tree": {"open": ["/*Tiny"], "first": 5_000, "count": 40},
            "actor": {"path": "/Tiny-7"},
        }
        for looks in (overview, tree, member):
            await watched(observer, looks, 1)  # the first look sorts all of them
            assert await watched(observer, looks, 20) <= 0.02 * of_messages, looks


async def test_an_observer_that_nobody_watches_does_nothing_for_a_message() -> None:
    message = TextMessage("x")

    async def count(**options: Any) -> int:
        async with observed(**options) as (system, observer):
            if options:
                observer.end()
                system.observers.detach(observer)
            ref = system.spawn(Tiny)
            await ref.started()

            async def tell() -> None:
                for _ in range(1_000):
                    ref.tell(message)
                await ref.ask(message)

            return await calls_of(tell)

    assert await count() <= await count(budget_bytes=0) + 20


async def test_recording_a_call_of_an_agent_takes_few_calls_and_its_estimate_is_near_its_bytes() -> None:
    @miniagent
    async def leaf(ctx: InteractionContext) -> None:
        ctx.reply("x")

    async def count(observers: list[WebObserver]) -> float:
        async with MiniAgents(observers=observers):
            await leaf.inquire("q")

            async def work() -> None:
                for _ in range(200):
                    await leaf.inquire("q")

            return await calls_of(work) / 200

    observer = WebObserver(opens=False)
    without = await count([])
    assert await count([observer]) - without <= 28

    async with MiniAgents(observers=[observer]):
        gc.collect()
        before = observer.recorder.bytes
        tracemalloc.start()
        for _ in range(2_000):
            await leaf.inquire("q")
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert observer.recorder.bytes - before == pytest.approx(used, rel=0.25)
