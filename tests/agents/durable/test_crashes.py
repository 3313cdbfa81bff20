"""A swarm that is killed at each write of its journal: no recorded answer is asked for again."""

import asyncio
import itertools
import random
from typing import Any

import pytest

from miniagents import MiniAgents, miniagent
from miniagents.journal import MemoryJournal, RowState
from tests.agents.durable.lives import Killed, life, replies, rows

_sample = random.Random(17)
_numbers = itertools.count()


@miniagent(durable=True)
async def oracle(ctx: Any) -> None:
    """Answer at random, so that no two answers are alike, after a while that differs, too."""
    question = str(await ctx.message_promises)
    for _ in range(_sample.randrange(4)):
        await asyncio.sleep(0)
    ctx.reply(f"{question[:3]}/{next(_numbers)}")


@miniagent(durable=True)
async def refuses_first(ctx: Any) -> None:
    await asyncio.sleep(0)
    if _sample.random() < 0.5:
        raise ValueError("refused")
    ctx.reply(f"accepted {next(_numbers)}")


@miniagent(durable=True)
async def echo(ctx: Any) -> None:
    """Reply to each message before the next one comes."""
    async for promise in ctx.message_promises:
        ctx.reply(f"{await promise}!{next(_numbers)}")


@miniagent(durable=True)
async def leaves_early(ctx: Any) -> None:
    async for promise in ctx.message_promises:
        ctx.reply(f"first: {await promise} {next(_numbers)}")
        return


@miniagent(durable=True)
async def dialog(ctx: Any, name: str) -> None:
    """Ask three questions, each of which depends on the answers before."""
    heard = [name]
    for _ in range(3):
        heard.append(str(await oracle.inquire(" ".join(heard))))
    heard.append(str(await oracle.inquire("the same")))  # an equal call of each dialog
    ctx.reply(" ".join(heard))


@miniagent(durable=True)
async def talks(ctx: Any) -> None:
    """Talk to an agent in full duplex, with messages that depend on its replies."""
    call = echo.initiate_call()
    replies = aiter(call.reply_sequence(finish_call=False))
    said = "hello"
    for _ in range(3):
        call.send_message(said)
        said = str(await (await anext(replies)))
    call.finish()
    ctx.reply(said)


@miniagent(durable=True)
async def streams(ctx: Any) -> None:
    """Send a stream whose pieces come from another agent, to one that leaves early and one that does not."""

    async def pieces(label: str) -> Any:
        for place in range(3):
            yield await oracle.inquire(f"p{place}", label=label)

    first, all_of_them = leaves_early.inquire(pieces("first")), oracle.inquire(pieces("all"))
    ctx.reply(f"{await first} {await all_of_them}")


@miniagent(durable=True)
async def tries_again(ctx: Any) -> None:
    for _ in range(50):
        try:
            ctx.reply(str(await refuses_first.inquire("please")))
        except ValueError:
            continue
        return


@miniagent(durable=True)
async def swarm(ctx: Any) -> None:
    calls = [
        dialog.inquire(name="a"),
        dialog.inquire(name="b"),
        talks.inquire(),
        streams.inquire(),
        tries_again.inquire(),
    ]
    ctx.reply(" | ".join([str(await call) for call in calls]))


async def _program(journal: MemoryJournal) -> str:
    async with MiniAgents(journal=journal) as mini:
        return str(await mini.run_job("swarm", swarm))


def _finished(journal: MemoryJournal) -> dict[int, tuple[int, list[bytes]]]:
    return {
        row.id: (row.finished, replies(journal, row.id))
        for row in rows(journal).values()
        if row.state is RowState.FINISHED
    }


_WRITES = 60
"""About as many as one life makes; their number depends on what is drawn."""


@pytest.mark.parametrize("die_at", range(1, _WRITES))
def test_no_recorded_answer_is_asked_for_again_whatever_write_the_process_dies_at(die_at: int) -> None:
    recorded: dict[int, tuple[int, list[bytes]]] = {}
    journal = MemoryJournal(die_at=die_at, patience=0.05)
    next_deaths = iter((_sample.choice((15, 20, 30)), None))
    while True:
        try:
            result = life(journal, _program)
        except Killed:
            recorded.update(_finished(journal))
            journal = journal.after_death(die_at=next(next_deaths))
            continue
        break

    at_the_end = _finished(journal)
    assert {row: at_the_end.get(row) for row in recorded} == recorded
    by_agent = [row.agent.rpartition("#")[2] for row in rows(journal).values() if row.state is RowState.FINISHED]
    # Two dialogs of four questions, two streams of three pieces, and the answer to one: no more rows than calls.
    assert by_agent.count("oracle") <= 15
    assert max(by_agent.count(agent) for agent in ("echo", "leaves_early", "refuses_first")) <= 1
    assert life(MemoryJournal.after_death(journal), _program) == result
