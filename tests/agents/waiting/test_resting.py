"""Jobs that do nothing but wait."""

import asyncio
from typing import Any

import pytest

from miniagents import InteractionContext, MiniAgent, MiniAgents, miniagent
from miniagents.agents.interaction import Interaction
from miniagents.journal import Begin, MemoryJournal, Rest, StartJob
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
async def waits_beside_work(ctx: InteractionContext) -> None:
    approval = asks.inquire(name="first")
    await works.inquire()
    await works.inquire()
    ctx.reply(await approval)


@miniagent
async def waits_behind_work(ctx: InteractionContext) -> None:
    first = asks.inquire(name="first")
    await works.inquire()
    second = asks.inquire(name="second")
    ctx.reply([await first, await second])


@miniagent
async def waits_twice(ctx: InteractionContext) -> None:
    first, second = asks.inquire(name="first"), asks.inquire(name="second")
    ctx.reply([await first, await second])


@miniagent
async def leaves_wait_and_work(ctx: InteractionContext) -> None:
    ctx.reply([asks.inquire(name="first"), works.inquire()])


@pytest.mark.parametrize(
    ("job", "early", "late", "rests_after"),
    [
        (waits_beside_work, (), ("first",), 10),
        (waits_behind_work, (), ("first", "second"), 5),
        (waits_twice, ("first",), ("second",), 0),
        (leaves_wait_and_work, (), ("first",), 5),
    ],
    ids=["beside its wait", "before its second wait", "after an answer", "when its root has left"],
)
async def test_a_job_rests_as_soon_as_all_that_it_did_has_ended_or_waits(
    job: MiniAgent, early: tuple[str, ...], late: tuple[str, ...], rests_after: float
) -> None:
    loop, journal = asyncio.get_running_loop(), MemoryJournal()

    async def begins(mini: MiniAgents) -> None:
        for name in ("one", "other"):
            mini.run_job(name, job)
        await asyncio.sleep(1)
        raise KeyError

    with pytest.raises(KeyError):
        await lived(journal, begins)

    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        for name in ("one", "other"):
            for wait in early:
                await mini.deliver(name, wait, "yes")
        began = loop.time()
        async with asyncio.timeout(60):
            resumed = await mini.resume_all(max_concurrency=1)  # the other one begins when the first one rests
        assert rests_after <= loop.time() - began < rests_after + 1
        for name in resumed:
            for wait in late:
                await mini.deliver(name, wait, "yes")
        replies = [await promise for promise in resumed.values()]

    assert [str(reply) for reply in replies] == ["\n\n".join(["got yes"] * (len(early) + len(late)))] * 2


async def test_a_job_that_was_woken_by_an_answer_is_at_work_until_the_woken_call_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lives: list[str] = []
    journal = MemoryJournal()
    write = journal.write

    def noted(*operations: Any) -> Any:
        kinds = (StartJob, Begin, Rest)
        lives.extend(type(operation).__name__ for operation in operations if isinstance(operation, kinds))
        return write(*operations)

    monkeypatch.setattr(journal, "write", noted)
    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        replies = mini.run_job("job", waits_twice)
        await asyncio.sleep(1)
        assert lives == ["StartJob", "Rest"]
        await mini.deliver("job", "first", "yes")
        await asyncio.sleep(1)
        assert lives == ["StartJob", "Rest", "Begin", "Rest"]
        await mini.deliver("job", "second", "yes")
        await replies

    assert lives == ["StartJob", "Rest", *["Begin", "Rest"] * 2]
