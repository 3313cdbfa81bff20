"""Durable calls of MiniAgents: what the journal adds to a call, what a replay costs, and jobs that wait."""

import asyncio
import functools
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from common import MemoryProbe, clock

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.journal import SqliteJournal

AT_ONCE = 1000
PASSIVATE_AFTER = 0.2

failing: list[bool] = []
"""Not empty: a job fails at its end, so that it is replayed when it is run again."""


class _Interrupted(Exception):
    pass


@miniagent
async def leaf(ctx: InteractionContext) -> None:
    ctx.reply("an answer")


@miniagent(version="1")
async def calls(ctx: InteractionContext, n: int, at_once: int) -> None:
    """Call an agent, so many times at once."""
    for start in range(0, n, at_once):
        for call in [leaf.inquire(str(number)) for number in range(start, min(start + at_once, n))]:
            await call
    if failing:
        raise _Interrupted
    ctx.reply("done")


@miniagent(durable=True)
async def waits(ctx: InteractionContext) -> None:
    ctx.reply(f"got {await ctx.wait_for('approval')}")


@miniagent(durable=True, passivate_after=PASSIVATE_AFTER)
async def waits_passively(ctx: InteractionContext) -> None:
    ctx.reply(f"got {await ctx.wait_for('approval')}")


async def time_of(run: Callable[[MiniAgents], Awaitable[object]], **options: Any) -> Any:
    async with MiniAgents(**options) as mini:
        await leaf.inquire("the first call")
        t = clock()
        with suppress(_Interrupted):
            await run(mini)
        return clock() - t


async def cost(at_once: int, n: int) -> tuple[Any, int]:
    """What the journal adds to a call: the difference to the same calls in memory."""
    agent = calls.fork(n=n, at_once=at_once)
    in_memory = await time_of(lambda mini: agent.inquire())
    with tempfile.TemporaryDirectory() as folder:
        journal = SqliteJournal(f"{folder}/journal.db")
        durable = await time_of(lambda mini: mini.run_job("job", agent), journal=journal, durable_agents=True)
    return durable - in_memory, n


async def replay(at_once: int, n: int) -> tuple[Any, int]:
    """A call that is answered from the journal, with all that any call costs."""
    agent = calls.fork(n=n, at_once=at_once)
    with tempfile.TemporaryDirectory() as folder:
        options = {"journal": SqliteJournal(f"{folder}/journal.db"), "durable_agents": True}
        failing.append(True)
        await time_of(lambda mini: mini.run_job("job", agent), **options)
        failing.clear()
        return await time_of(lambda mini: mini.run_job("job", agent), **options), n


async def disk(n: int) -> Any:
    """The bytes of the file for each call."""
    with tempfile.TemporaryDirectory() as folder:
        agent = calls.fork(n=n, at_once=AT_ONCE)
        journal = SqliteJournal(f"{folder}/journal.db")
        await time_of(lambda mini: mini.run_job("job", agent), journal=journal, durable_agents=True)
        return journal.size() / n


async def begun(mini: MiniAgents, agent: Any, n: int, most_in_memory: int) -> list[Any]:
    """Jobs that wait, begun a few hundred at a time, so that the memory that is counted is that of waiting."""
    replies: list[Any] = []
    while len(replies) < n:
        first = len(replies)
        replies += [mini.run_job(f"job {number}", agent) for number in range(first, min(first + 500, n))]
        while not await mini.pending(f"job {len(replies) - 1}") or len(mini.interactions()) > most_in_memory:
            await asyncio.sleep(0.01)
    while most_in_memory < n and mini.interactions():
        await asyncio.sleep(0.01)
    return replies


async def memory(agent: Any, most_in_memory: int, n: int) -> Any:
    """The memory of a job that waits for an answer from outside, with the promise of its replies."""
    per = 0.0
    with tempfile.TemporaryDirectory() as folder, suppress(_Interrupted):
        async with MiniAgents(journal=SqliteJournal(f"{folder}/journal.db", synchronous="NORMAL")) as mini:
            await mini.run_job("warm", leaf)
            with MemoryProbe() as probe:
                replies = await begun(mini, agent, n, most_in_memory)
            per = probe.per(n)
            del replies
            raise _Interrupted  # they wait for ever
    return per


async def wake(n: int) -> tuple[Any, int]:
    """From the delivery of an answer to the replies of a job that was passive, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        async with MiniAgents(journal=SqliteJournal(f"{folder}/journal.db")) as mini:
            replies = await begun(mini, waits_passively, n, 0)
            t = clock()
            for number, promise in enumerate(replies):
                await mini.deliver(f"job {number}", "approval", "yes")
                await promise
            return clock() - t, n


WORKLOADS = dict(
    durable_call=functools.partial(cost, 1),
    durable_call_1000=functools.partial(cost, AT_ONCE),
    durable_replay=functools.partial(replay, 1),
    durable_replay_1000=functools.partial(replay, AT_ONCE),
    durable_call_disk=disk,
    job_wake=wake,
    job_mem_wait=functools.partial(memory, waits, 10**9),
    job_mem_passive=functools.partial(memory, waits_passively, 1500),
)
DEFAULTS = dict(
    durable_call=3_000,
    durable_call_1000=3_000,
    durable_replay=3_000,
    durable_replay_1000=3_000,
    durable_call_disk=3_000,
    job_wake=300,
    job_mem_wait=20_000,
    job_mem_passive=100_000,
)
