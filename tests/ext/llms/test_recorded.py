"""Requests to models and calls of tools in a journal."""

import asyncio
import itertools
from typing import Any

import pytest

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.ext.llms import OpenAIAgent, Recovery, Tool, openai_embedding_agent
from miniagents.journal import Forget, MemoryJournal
from miniagents.testing import Call, Exchange, FakeProvider, Reply
from tests.agents.durable.lives import Killed, life

pytestmark = pytest.mark.real_time

_numbers = itertools.count()
_provider = FakeProvider()
_added: list[bool] = []


async def add(a: int, b: int, ctx: InteractionContext) -> int:
    """Add two numbers."""
    _added.append(ctx.interrupted)
    return a + b


def _answer(exchange: Exchange) -> Reply:
    """Call the tool in four turns, and answer in the fifth; no two answers are alike."""
    results = [message for message in exchange.body["messages"] if message["role"] == "tool"]
    if len(results) < 4:
        return Reply(calls=(Call("add", {"a": next(_numbers), "b": len(results)}, id=f"call-{len(results)}"),))
    return Reply(f"done {next(_numbers)} {[result['content'] for result in results]}")


@pytest.fixture
def provider() -> Any:
    with _provider:
        _provider.reset(_answer)
        _added.clear()
        yield _provider


@miniagent
async def worker(ctx: Any) -> None:
    ctx.reply(await OpenAIAgent.fork(model="m", tools=[add], **_provider.openai).inquire("Add."))


async def _program(journal: MemoryJournal) -> str:
    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        return str(await mini.run_job("sum", worker))


def _records(journal: MemoryJournal, kind: str) -> dict[Any, Any]:
    model: Any = getattr(journal, "_model")  # noqa: B009
    records = model.jobs.rows.records
    return {key: record for key, record in records.items() if key[1] == kind and record.value is not None}


@pytest.mark.parametrize("die_at", range(3, 18))
def test_a_loop_of_tools_that_is_killed_asks_the_model_for_nothing_that_is_recorded(
    die_at: int, provider: FakeProvider
) -> None:
    journal = MemoryJournal(die_at=die_at, patience=0.05)
    with pytest.raises(Killed):
        life(journal, _program)
    recorded, tools = _records(journal, "model"), _records(journal, "tool")
    asked, ran = len(provider.exchanges), len(_added)
    journal = journal.after_death()
    result = life(journal, _program)

    assert {key: _records(journal, "model")[key] for key in recorded} == recorded
    assert {key: _records(journal, "tool")[key] for key in tools} == tools
    assert len(provider.exchanges) - asked == 5 - len(recorded)
    assert len(_added) - ran == 4 - len(tools)
    assert life(journal.after_death(), _program) == result


@pytest.mark.parametrize("recovery", Recovery)
def test_a_tool_that_was_started_and_has_no_result_runs_again_or_fails_as_its_recovery_says(
    recovery: Recovery, provider: FakeProvider
) -> None:
    journal = MemoryJournal(patience=0.05)
    interrupted: list[bool] = []

    async def pay(ctx: InteractionContext) -> str:
        interrupted.append(ctx.interrupted)
        if len(interrupted) == 1:
            await asyncio.sleep(0)
            setattr(journal, "_die_at", getattr(journal, "_writes"))  # noqa: B009, B010 - with the next write
            journal.write(Forget("no job"))
            await asyncio.sleep(60)
        return "paid"

    def answer(exchange: Exchange) -> Reply:
        results = [message["content"] for message in exchange.body["messages"] if message["role"] == "tool"]
        return Reply(f"got {results[0]}") if results else Reply(calls=(Call("pay", id="call-1"),))

    provider.reset(answer)

    @miniagent(version="1")
    async def payer(ctx: Any) -> None:
        model = OpenAIAgent.fork(model="m", tools=[Tool(pay, recovery=recovery)], **provider.openai)
        ctx.reply(await model.inquire("Pay."))

    async def program(journal: MemoryJournal) -> str:
        async with MiniAgents(journal=journal, durable_agents=True) as mini:
            return str(await mini.run_job("pay", payer))

    with pytest.raises(Killed):
        life(journal, program)
    result = life(journal.after_death(), program)

    if recovery is Recovery.RERUN:
        assert (result.split("\n\n")[-1], interrupted) == ("got paid", [False, True])
    else:
        assert "nobody knows how far it came" in result
        assert interrupted == [False]


async def test_embeddings_are_recorded(provider: FakeProvider) -> None:
    provider.reset()
    agent = openai_embedding_agent.fork(model="e", **provider.openai)

    @miniagent(version="1")
    async def embeds(ctx: Any) -> None:
        ctx.reply(str([message.embedding for message in await agent.inquire("text")]))
        if journal_is_new:
            raise ValueError("later")

    journal, journal_is_new = MemoryJournal(), True
    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        with pytest.raises(ValueError, match="later"):
            await mini.run_job("e", embeds)
    journal_is_new = False
    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        assert "0." in str(await mini.run_job("e", embeds))

    assert len(provider.exchanges) == 1


async def test_equal_requests_of_one_call_are_records_of_their_own(provider: FakeProvider) -> None:
    provider.reset(lambda _: Reply(f"sample {next(_numbers)}"))
    model = OpenAIAgent.fork(model="m", **provider.openai)
    is_first = True

    @miniagent(version="1")
    async def best_of(ctx: Any) -> None:
        ctx.reply(" ".join([str(await model.inquire("best")) for _ in range(3)]))
        if is_first:
            raise ValueError("later")

    journal = MemoryJournal()
    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        with pytest.raises(ValueError, match="later"):
            await mini.run_job("e", best_of)
    is_first = False
    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        samples = str(await mini.run_job("e", best_of)).split("sample ")

    assert len(set(samples)) == 4
    assert len(provider.exchanges) == 3
