"""Jobs that do nothing but wait."""

import asyncio

import pytest

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.agents.interaction import Interaction
from miniagents.journal import MemoryJournal
from tests.agents.deaths import lived


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


@miniagent
async def works(ctx: InteractionContext) -> None:
    await asyncio.sleep(5)


@miniagent
async def works_beside_two_waits(ctx: InteractionContext) -> None:
    first = asks.inquire(name="first")
    await works.inquire()
    second = asks.inquire(name="second")
    ctx.reply([await first, await second])


async def test_a_job_rests_once_a_call_waits_after_another_one_that_worked_has_ended() -> None:
    journal = MemoryJournal()

    async def begins(mini: MiniAgents) -> None:
        for name in ("one", "other"):
            mini.run_job(name, works_beside_two_waits)
        await asyncio.sleep(1)
        raise KeyError

    with pytest.raises(KeyError):
        await lived(journal, begins)

    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        async with asyncio.timeout(60):
            resumed = await mini.resume_all(max_concurrency=1)
        for name in resumed:
            for wait in ("first", "second"):
                await mini.deliver(name, wait, "yes")
        assert [str(await replies) for replies in resumed.values()] == ["got yes\n\ngot yes"] * 2
