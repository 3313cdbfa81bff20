import asyncio
from itertools import count, pairwise
from random import Random
from typing import Any

import pytest

from miniagents import InteractionContext, miniagent
from miniagents.ext.llms import RateLimit
from miniagents.ext.observer.calls import NOTHING, CallRecord, Step
from miniagents.ext.observer.slowness import CAUSES, causes_of, critical_path
from miniagents.testing import Script, ScriptedModel
from tests.ext.observer.observed import observed


class Made:
    """What a record is made of, without a system."""

    account = None
    label = None

    def __init__(self, id: int, started: float) -> None:
        self.id = id
        self.started_at = started


def tree(random: Random) -> CallRecord:
    """A call with random calls and steps below it, also such that outlive it or are under way."""
    numbers = count(1)

    def sometimes(moment: float) -> float | None:
        return moment if random.random() < 0.8 else None

    def call(parent: CallRecord | None, depth: int) -> CallRecord:
        started = random.uniform(0, 50) + (parent.started if parent is not None else 0.0)
        record = CallRecord(Made(next(numbers), started), parent, f"agent{depth}", "/agent")
        record.until = sometimes(started + random.choice([0.0, random.uniform(0, 80)]))
        record.used = NOTHING._replace(begun=sometimes(started + random.uniform(0, 20)))
        for _ in range(random.randrange(4)):
            step = Step(random.choice(["model", "tool", "wait"]), "x", lambda: 0.0, keeps_text=False)
            step.begun = started + random.uniform(0, 60)
            step.first = sometimes(step.begun + random.uniform(0, 5))
            step.until = sometimes(step.begun + random.uniform(0, 30))
            record.steps = [*(record.steps or ()), step]
        for _ in range(random.randrange(4) if depth < 3 else 0):
            call(record, depth + 1)
        return record

    return call(None, 0)


@pytest.mark.parametrize("seed", range(10))
async def test_the_causes_follow_each_other_and_add_up_to_the_time_of_the_call(seed: int) -> None:
    random = Random(seed)
    for _ in range(20):
        record, now = tree(random), random.uniform(100, 300)

        pieces = [piece async for piece in critical_path(record, now)]

        took = (now if record.until is None else record.until) - record.started
        assert sum(ended - begun for _, begun, ended, _ in pieces) == pytest.approx(max(took, 0.0), abs=1e-6)
        assert all(ended > begun for _, begun, ended, _ in pieces)
        assert {cause for cause, *_ in pieces} <= set(CAUSES)
        for (_, _, ended, _), (_, begun, _, _) in pairwise(sorted(pieces, key=lambda piece: piece[1])):
            assert begun == pytest.approx(ended, abs=1e-6)


async def causes(observer: Any, alias: str) -> dict[str, float]:
    (record,) = [record for record in observer.records.values() if record.alias == alias and record.parent is None]
    found, _ = await causes_of(record, observer.now)
    return {cause: round(seconds, 1) for cause, seconds in found.items() if seconds > 0.05}


async def test_waiting_in_a_mailbox_is_told_from_the_code_of_agents() -> None:
    @miniagent
    class Slow:
        async def __call__(self, ctx: InteractionContext) -> None:
            await asyncio.sleep(3)

    @miniagent
    async def asks(ctx: InteractionContext) -> None:
        await asyncio.sleep(1)
        await ctx.system.lookup("/slow").inquire("second")  # type: ignore[union-attr]

    async with observed() as (system, observer):
        ref = system.spawn(Slow, name="slow")
        first = ref.inquire("first")
        await asks.inquire()
        await first

        assert await causes(observer, "asks") == {"own": 1.0 + 3.0, "mailbox": 2.0}


async def test_waiting_for_a_rate_limit_is_told_from_the_model() -> None:
    limit = RateLimit(requests_per_minute=6)
    model = ScriptedModel.fork(script=Script("one two three"), rate_limit=limit)

    @miniagent
    async def asks(ctx: InteractionContext) -> None:
        await model.inquire("1")
        await model.inquire("2")

    async with observed() as (_, observer):
        await asks.inquire()

        found = await causes(observer, "asks")
    assert found["limit"] == pytest.approx(10.5, abs=0.2)
    assert set(found) <= {"limit", "first_token", "streaming", "own"}


async def test_waiting_for_an_answer_from_outside_is_told_from_the_code_of_agents() -> None:
    @miniagent
    async def asks(ctx: InteractionContext) -> None:
        await asyncio.sleep(1)
        await ctx.wait_for("approval")
        await asyncio.sleep(2)

    async with observed() as (system, observer):
        replies = asks.inquire()
        await asyncio.sleep(5)
        assert await causes(observer, "asks") == {"own": 1.0, "answer": 4.0}
        await system.deliver("", "approval", "yes")
        await replies

        assert await causes(observer, "asks") == {"own": 1.0 + 2.0, "answer": 4.0}
        (record,) = observer.records.values()
        assert [(step.kind, step.name, step.error) for step in record.steps or ()] == [("wait", "approval", None)]


async def test_a_wait_that_is_cancelled_has_ended() -> None:
    @miniagent
    async def asks(ctx: InteractionContext) -> None:
        try:
            await asyncio.wait_for(ctx.wait_for("approval"), 3)
        except TimeoutError:
            await asyncio.sleep(2)

    async with observed() as (_, observer):
        await asks.inquire()

        assert await causes(observer, "asks") == {"own": 2.0, "answer": 3.0}
        (record,) = observer.records.values()
        assert [(step.kind, step.error) for step in record.steps or ()] == [("wait", "CancelledError")]
