"""Nothing waits for the disk that need not: the loop, other actors, and the first token of an agent."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from miniagents import MiniAgents, SpawnOptions, TextMessage, miniagent
from miniagents.journal import MemoryJournal, RowState, SqliteJournal
from tests.actors.actors import Add, Counter, Read, Total
from tests.agents.durable.lives import rows
from tests.journal.sqlite.opened import hold


@miniagent(version="1")
async def speaks(ctx: Any) -> None:
    """Stream two tokens, with a pause between them."""

    async def tokens(_: Any) -> AsyncIterator[str]:
        yield "one"
        await asyncio.sleep(10)
        yield " two"

    ctx.reply(TextMessage.promise(message_token_streamer=tokens))


async def first_token(call: Any) -> str:
    async for promise in call:
        async for token in promise:
            return str(token)
    raise AssertionError("there was no token")


@pytest.mark.real_time
async def test_the_loop_and_what_is_in_memory_go_on_while_the_disk_does_not_answer(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "held.db")
    async with MiniAgents(journal=journal) as mini:
        durable = mini.spawn(Counter, name="durable", options=SpawnOptions(durable=True))
        await durable.send(Add(1))
        released, _ = hold(journal)
        try:
            sends = [asyncio.create_task(durable.send(Add(1))) for _ in range(3)]
            asked = durable.ask(Read())
            in_memory = mini.spawn(Counter)
            for number in range(1, 101):
                in_memory.tell(Add(1))
                assert await in_memory.ask(Read()) == Total(value=number)
                await asyncio.sleep(0)
            assert not released.is_set()
            assert not any(send.done() for send in sends)
            assert not asked.done()
        finally:
            released.set()
        await asyncio.gather(*sends)
        assert await asked == Total(value=1)
        assert await durable.ask(Read()) == Total(value=4)


@pytest.mark.real_time
async def test_the_first_token_of_a_call_comes_while_the_disk_does_not_answer(tmp_path: Path) -> None:
    root_began, may_ask, has_heard = asyncio.Event(), asyncio.Event(), asyncio.Event()
    heard: list[str] = []

    @miniagent(version="1", alias="root")
    async def root(ctx: Any) -> None:
        root_began.set()
        await may_ask.wait()
        heard.append(await first_token(speaks.inquire("a question")))
        heard.append(await first_token(speaks.inquire("another one")))
        has_heard.set()
        await asyncio.sleep(3600)

    journal = SqliteJournal(tmp_path / "held.db")
    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        job = mini.run_job("job", root)
        await root_began.wait()
        released, _ = hold(journal)
        try:
            assert await first_token(speaks.inquire("outside of a job")) == "one"
            may_ask.set()
            await has_heard.wait()
            assert heard == ["one", "one"]
            assert not released.is_set()
            assert not job.done()
        finally:
            released.set()
        await mini.cancel_job("job")


@pytest.mark.parametrize("lives", [0, 1, 2])
async def test_the_first_token_comes_as_early_with_a_journal_as_without_also_in_a_resumed_job(lives: int) -> None:
    """Without a journal, with a fresh one, and with one in which the call has one candidate; the input is open."""
    waited: list[float] = []
    has_heard = asyncio.Event()
    journal = MemoryJournal(patience=0.3) if lives else None

    async def question() -> AsyncIterator[str]:
        yield "the first part"
        await asyncio.sleep(5)
        yield "the second part"

    @miniagent(version="1", alias="root")
    async def root(ctx: Any) -> None:
        began = asyncio.get_running_loop().time()
        assert await first_token(speaks.inquire(question())) == "one"
        waited.append(asyncio.get_running_loop().time() - began)
        has_heard.set()
        await asyncio.sleep(3600)

    for _ in range(max(lives, 1)):
        with pytest.raises(KeyError):
            async with MiniAgents(journal=journal, durable_agents=journal is not None) as mini:
                job = mini.run_job("job", root) if journal is not None else root.inquire()
                await has_heard.wait()
                assert not job.done()
                assert waited == [0.0]
                waited.clear()
                has_heard.clear()
                raise KeyError  # the end of the system, in the middle of the work
    if journal is not None:
        assert [row.state for row in rows(journal).values()] == [RowState.RUNNING, RowState.RUNNING]
