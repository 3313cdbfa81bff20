"""Jobs of MiniAgents whose steps are recorded."""

import functools
import tempfile
from typing import Any

import job_common
from common import note

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.journal import SqliteJournal


@miniagent
async def step(ctx: InteractionContext) -> None:
    ctx.reply(f"done {await ctx.message_promises}")


@miniagent
async def job(ctx: InteractionContext) -> None:
    for number in range(job_common.STEPS):
        await step.inquire(f"{number}")
    ctx.reply("done")


@note("a job begins once it is on disk; its steps go on while the disk works: a kill costs the last of them again")
async def steps(jobs_at_once: int, n: int) -> tuple[Any, int]:
    with tempfile.TemporaryDirectory() as folder:
        async with MiniAgents(journal=SqliteJournal(f"{folder}/jobs.db"), durable_agents=True) as mini:

            async def run(name: str) -> str:
                (message,) = await mini.run_job(name, job)
                return str(message)

            return await job_common.steps(run, jobs_at_once, n)


WORKLOADS = dict(durable_steps=functools.partial(steps, 1), durable_steps_100=functools.partial(steps, 100))
DEFAULTS = dict(durable_steps=2_000, durable_steps_100=20_000)
