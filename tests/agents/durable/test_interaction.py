"""Calls that are answered from a journal, or run and recorded."""

from collections import Counter
from typing import Any

import pytest

from miniagents import MiniAgents, miniagent
from miniagents.journal import MemoryJournal

calls: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@miniagent(durable=True)
async def upper(ctx: Any) -> None:
    text = str(await ctx.message_promises)
    calls[text] += 1
    ctx.reply(text.upper())


@miniagent(durable=True)
async def both(ctx: Any) -> None:
    one, two = upper.inquire("one"), upper.inquire("two")
    ctx.reply(f"{await one} {await two} {await upper.inquire('three')}")


async def test_a_finished_job_is_answered_without_running_anything() -> None:
    journal = MemoryJournal()
    async with MiniAgents(journal=journal) as mini:
        assert str(await mini.run_job("j", both)) == "ONE TWO THREE"
    async with MiniAgents(journal=journal) as mini:
        assert str(await mini.run_job("j", both)) == "ONE TWO THREE"

    assert calls == {"one": 1, "two": 1, "three": 1}
