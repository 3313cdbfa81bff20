"""Any program of calls, killed at any writes, against the simplest model of the promise: each call is made once."""

import asyncio
import itertools
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miniagents import MiniAgents, miniagent
from miniagents.journal import MemoryJournal, RowState
from miniagents.testing import VirtualTimeLoop
from tests.agents.durable.lives import Killed, life, replies, rows

_numbers = itertools.count()
_sample = random.Random()

# A plan is a tuple of steps, one after the other: a question (how long its answer takes), or plans that run at the same
# time.
_plans: Any = st.recursive(
    st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple),
    lambda plans: st.lists(
        st.one_of(st.integers(0, 3), st.lists(plans, min_size=1, max_size=3).map(tuple)), min_size=1, max_size=3
    ).map(tuple),
    max_leaves=6,
)


@miniagent(durable=True)
async def oracle(ctx: Any, pause: int) -> None:
    for _ in range(_sample.randrange(pause + 1)):
        await asyncio.sleep(0)
    ctx.reply(f"{pause}:{next(_numbers)}")


@miniagent(durable=True)
async def does(ctx: Any, plan: tuple[Any, ...]) -> None:
    """Do a plan. What is asked depends on all answers before."""
    heard: list[str] = []
    for step in plan:
        if isinstance(step, int):
            heard.append(str(await oracle.inquire(" ".join(heard), pause=step)))
        else:
            calls = [does.inquire(" ".join(heard), plan=part) for part in step]
            heard += [str(await call) for call in calls]
    ctx.reply(" ".join(heard))


def _questions(plan: tuple[Any, ...]) -> int:
    return sum(step >= 0 if isinstance(step, int) else sum(map(_questions, step)) for step in plan)


def _answers(journal: MemoryJournal) -> dict[int, list[bytes]]:
    return {row.id: replies(journal, row.id) for row in rows(journal).values() if row.state is RowState.FINISHED}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=_plans, deaths=st.lists(st.integers(2, 40), max_size=2), seed=st.integers(0, 1000))
def test_any_program_that_is_killed_makes_each_recorded_call_once(
    plan: tuple[Any, ...], deaths: list[int], seed: int
) -> None:
    async def program(journal: MemoryJournal) -> str:
        async with MiniAgents(journal=journal) as mini:
            return str(await mini.run_job("any", does, plan=plan))

    _sample.seed(seed)
    more = iter([*deaths, None])
    journal = MemoryJournal(die_at=next(more), patience=0.05)
    recorded: dict[int, list[bytes]] = {}
    result = None
    while result is None:
        try:
            result = life(journal, program)
        except Killed:
            journal = journal.after_death(die_at=next(more))
        now = _answers(journal)
        assert {row: now.get(row) for row in recorded} == recorded
        recorded = now

    asked = [row for row in rows(journal).values() if row.agent.endswith("#oracle")]
    assert len(asked) == _questions(plan)
    assert len(result.split()) == _questions(plan)
    assert life(journal.after_death(), program) == result


_WAIT, _SLEEP = -1, -2

_waiting_plans: Any = st.recursive(
    st.lists(st.integers(_SLEEP, 3), min_size=1, max_size=3).map(tuple),
    lambda plans: st.lists(
        st.one_of(st.integers(_SLEEP, 3), st.lists(plans, min_size=1, max_size=3).map(tuple)), min_size=1, max_size=3
    ).map(tuple),
    max_leaves=6,
)


@miniagent(durable=True, passivate_after=10.0)
async def does_and_waits(ctx: Any, plan: tuple[Any, ...]) -> None:
    """Do a plan, and say after each step what was heard."""
    heard: list[str] = []
    for step in plan:
        if step == _WAIT:
            heard.append(str(await ctx.wait_for("answer")))
        elif step == _SLEEP:
            await ctx.sleep(30.0)
            heard.append("slept")
        elif isinstance(step, int):
            heard.append(str(await oracle.inquire(" ".join(heard), pause=step)))
        else:
            calls = [does_and_waits.inquire(" ".join(heard), plan=part) for part in step]
            heard.append(" ".join([" ".join(map(str, await call)) for call in calls]))
        ctx.reply(heard[-1])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=_waiting_plans, seed=st.integers(0, 1000))
def test_any_program_that_waits_gives_each_reply_once_however_often_it_is_passivated(
    plan: tuple[Any, ...], seed: int
) -> None:
    pauses = random.Random(seed)
    delivered: list[str] = []

    async def answers(mini: MiniAgents) -> None:
        while True:
            await asyncio.sleep(pauses.choice([0.0, 0.001, 9.99, 10.0, 10.001, 25.0]))
            waits = await mini.pending("any")
            if waits:
                delivered.append(f"answer:{len(delivered)}")
                await mini.deliver("any", pauses.choice(waits).id, delivered[-1])

    async def program(journal: MemoryJournal) -> list[str]:
        async with MiniAgents(journal=journal) as mini:
            promise = mini.run_job("any", does_and_waits, plan=plan)
            answering = asyncio.ensure_future(answers(mini))
            streamed = [str(await reply) async for reply in promise]
            answering.cancel()
            assert [str(reply) for reply in await promise] == streamed
            return streamed

    _sample.seed(seed)
    journal = MemoryJournal(patience=0.05)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        result = runner.run(program(journal))
    asked = [row for row in rows(journal).values() if row.agent.endswith("#oracle")]
    heard = " ".join(result).split()
    assert len(asked) == _questions(plan)
    assert sorted(word for word in heard if word.startswith("answer")) == sorted(delivered)
    assert len(heard) == _steps(plan)


def _steps(plan: tuple[Any, ...]) -> int:
    return sum(1 if isinstance(step, int) else sum(map(_steps, step)) for step in plan)
