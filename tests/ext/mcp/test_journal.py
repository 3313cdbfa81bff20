"""Calls of servers in a system with a journal."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from miniagents import MiniAgents, miniagent
from miniagents.ext.llms import OpenAIAgent
from miniagents.journal import SqliteJournal
from miniagents.testing import Call, Exchange, FakeProvider, Reply
from tests.ext.mcp.servers import noted, stdio_server, until

pytestmark = pytest.mark.real_time

IMAGE = "data:image/png;base64,iVBORw0K"


def answer(exchange: Exchange) -> Reply:
    """Call one tool after the other, and answer when their results are there."""
    results = [message for message in exchange.body["messages"] if message["role"] == "tool"]
    calls = [Call("contents", {}, id="a"), Call("slow", {}, id="b")][len(results) :]
    return Reply(calls=(calls[0],)) if calls else Reply("done")


async def test_a_call_under_way_at_the_end_of_the_process_is_not_made_again(
    tmp_path: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.reset(answer)
    notes = tmp_path / "notes"

    @miniagent(version="1")
    async def clerk(ctx: Any) -> None:
        model = OpenAIAgent.fork(model="m", tools=[stdio_server(notes=notes)], stream=False, **fake_provider.openai)
        ctx.reply(await model.inquire("Hi"))

    def system() -> MiniAgents:
        return MiniAgents(journal=SqliteJournal(tmp_path / "journal.db"), durable_agents=True)

    async def first() -> None:
        async with system() as mini:
            mini.run_job("job", clerk)
            await until(lambda: "called slow" in noted(notes))
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await first()
    async with system() as mini:
        await mini.run_job("job", clerk)

    results = [message for message in fake_provider.exchanges[-1].body["messages"] if message["role"] == "tool"]
    assert "nobody knows how far it came" in results[1]["content"]
    assert IMAGE in str(fake_provider.exchanges[-1].body["messages"])
    assert [line for line in noted(notes) if line.startswith("called")] == ["called contents", "called slow"]
