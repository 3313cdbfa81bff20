"""Jobs that do nothing but wait."""

import asyncio

import pytest

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.agents.interaction import Interaction
from miniagents.journal import MemoryJournal


@miniagent
async def asks(ctx: InteractionContext, name: str) -> None:
    ctx.reply(f"got {await ctx.wait_for(name)}")


@miniagent
async def asks_often(ctx: InteractionContext, names: tuple[str, ...]) -> None:
    await asyncio.gather(*(asks.inquire(name=name) for name in names))


async def test_calls_that_begin_to_wait_one_after_the_other_are_not_all_looked_through_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0
    all_below = Interaction.all_below

    def counted(call: Interaction) -> list[Interaction]:
        nonlocal looks
        looks += 1
        return all_below(call)

    names = tuple(str(number) for number in range(50))
    async with MiniAgents(journal=MemoryJournal(), durable_agents=True) as mini:
        jobs = [mini.run_job(f"job {number}", asks_often, names=names) for number in range(2)]
        monkeypatch.setattr(Interaction, "all_below", counted)
        await asyncio.sleep(1)
        assert len(await mini.pending()) == 100
        monkeypatch.undo()
        for job in jobs:
            await job.aclose()

    assert 2 <= looks <= 6
