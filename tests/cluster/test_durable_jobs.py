"""Jobs whose calls run on other nodes: what was answered there is in the journal of the driver."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    ActorStoppedError,
    InteractionContext,
    MiniAgents,
    NodeLostError,
    Placement,
    RetryPolicy,
    SpawnOptions,
    miniagent,
)
from miniagents.cluster import Cluster
from miniagents.journal import MemoryJournal, RowsOfJob, RowState
from miniagents.testing.memory_platform import MemoryPlatform

ASKED: list[tuple[str, str]] = []
"""Node and question of each answer that was made."""

SPREAD = SpawnOptions(placement=Placement.SPREAD)


class Gate:
    """What "slow" questions wait for."""

    opened = asyncio.Event()


@pytest.fixture(autouse=True)
def fresh() -> None:
    ASKED.clear()
    Gate.opened = asyncio.Event()


@miniagent
async def model(ctx: InteractionContext) -> None:
    """Answers a question."""
    question = str(await ctx.message_promises)
    if question.startswith("slow"):
        await Gate.opened.wait()
    ASKED.append((ctx.system.node_name, question))
    ctx.reply(f"answer to {question}")


def noted(text: str) -> str:
    ASKED.append(("once", text))
    return text


@miniagent
async def reader(ctx: InteractionContext, questions: tuple[str, ...]) -> None:
    """Asks a model several questions, one after the other, and some equal ones."""
    await ctx.once("note", noted, str(await ctx.message_promises))
    for question in questions:
        ctx.reply(str(await model.inquire(question).answer()))


@miniagent
async def flaky(ctx: InteractionContext) -> None:
    """Fails twice after it has asked a model."""
    answer = str(await model.inquire("of the flaky").answer())
    attempts = sum(node == "attempt" for node, _ in ASKED)
    ASKED.append(("attempt", ""))
    if attempts < 2:
        raise ConnectionError("not now")
    ctx.reply(answer)


@miniagent
async def editor(ctx: InteractionContext, of: str = "reader", questions: tuple[str, ...] = ()) -> None:
    """Has an agent of another node work; another one, if that is lost."""
    message = str(await ctx.message_promises)
    while True:
        found: Any = ctx.system.lookup(f"/{of}")
        if found is not None:
            arguments = {"questions": questions} if questions else {}
            try:
                replies = await found.inquire(message, **arguments)
            except ActorStoppedError as error:
                if not isinstance(error.__cause__, NodeLostError):
                    raise
            else:
                ctx.reply(" / ".join(map(str, replies)))
                return
        await asyncio.sleep(0.2)


def system_of(journal: MemoryJournal, platform: MemoryPlatform) -> MiniAgents:
    return MiniAgents(cluster=Cluster(platform, suspect_after=None), journal=journal, durable_agents=True)


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_what_was_answered_on_a_lost_node_is_not_asked_again_on_the_next_one() -> None:
    platform, journal = MemoryPlatform(["a", "b"]), MemoryJournal()
    async with system_of(journal, platform) as system:
        system.spawn(reader, name="reader", options=SPREAD)
        questions = ("1", "2", "2", "slow 3", "4")
        job = system.run_job("job", editor, "read", questions=questions)
        await until(lambda: len(ASKED) == 4)
        await asyncio.sleep(1)
        platform.die(platform.node("a"))
        await asyncio.sleep(10)
        Gate.opened.set()
        assert str(await job.answer()) == " / ".join(f"answer to {question}" for question in questions)
        by_a, by_b = ([("once", "read"), ("a", "1"), ("a", "2"), ("a", "2")], [("b", "slow 3"), ("b", "4")])
        assert [asked for asked in ASKED if asked != ("a", "slow 3")] == by_a + by_b
        rows = await journal.read(RowsOfJob("job"))
        assert {row.state for row in rows} == {RowState.FINISHED}
        assert len(rows) == 2 + len(questions)

    ASKED.clear()
    async with system_of(journal.after_death(), MemoryPlatform(["a", "b"])) as system:
        job = system.run_job("job", editor, "read", questions=questions)
        assert str(await job.answer()) == " / ".join(f"answer to {question}" for question in questions)
        assert ASKED == []


async def test_a_job_whose_driver_has_died_asks_again_nothing_that_was_answered_on_a_node() -> None:
    platform, journal = MemoryPlatform(["a", "b"]), MemoryJournal()
    questions = ("1", "slow 2", "3")

    async def first_life() -> None:
        async with system_of(journal, platform) as system:
            system.spawn(reader, name="reader", options=SPREAD)
            await system.run_job("job", editor, "read", questions=questions)

    life = asyncio.create_task(first_life())
    await until(lambda: len(ASKED) == 2)
    await asyncio.sleep(1)
    survivor = journal.after_death()
    journal.is_dead = True
    life.cancel()
    await asyncio.wait([life])
    assert ASKED == [("once", "read"), ("a", "1")]

    Gate.opened.set()
    async with system_of(survivor, MemoryPlatform(["c"])) as system:
        system.spawn(reader, name="reader", options=SPREAD)
        replies = system.run_job("job", editor, "read", questions=questions)
        assert str(await replies.answer()) == "answer to 1 / answer to slow 2 / answer to 3"
    assert ASKED == [("once", "read"), ("a", "1"), ("c", "slow 2"), ("c", "3")]


async def test_an_attempt_on_a_node_does_not_ask_again_what_the_one_before_was_answered() -> None:
    platform, journal = MemoryPlatform(["a"]), MemoryJournal()
    async with system_of(journal, platform) as system:
        options = SpawnOptions(node="a", retry=RetryPolicy(on=(ConnectionError,), attempts=3))
        system.spawn(flaky, name="flaky", options=options)
        assert str(await system.run_job("job", editor, "try", of="flaky").answer()) == "answer to of the flaky"
        assert ASKED == [("a", "of the flaky"), ("attempt", ""), ("attempt", ""), ("attempt", "")]


async def test_calls_outside_of_jobs_and_in_a_system_without_a_journal_go_on_as_they_are() -> None:
    async with MiniAgents(cluster=Cluster(MemoryPlatform(["a"]))) as system:
        plain = system.spawn(reader, name="reader", options=SPREAD)
        assert str(await plain.inquire("read", questions=("1",)).answer()) == "answer to 1"
    async with system_of(MemoryJournal(), MemoryPlatform(["a"])) as system:
        plain = system.spawn(reader, name="reader", options=SPREAD)
        assert str(await plain.inquire("read", questions=("1",)).answer()) == "answer to 1"
