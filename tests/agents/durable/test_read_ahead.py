"""Reading the answers of recorded calls, many at a time."""

import asyncio
from typing import Any

import pytest

from miniagents import MiniAgents, miniagent
from miniagents.agents.durable import read_ahead
from miniagents.agents.durable.read_ahead import ReadAhead
from miniagents.errors import JournalError
from miniagents.journal import Answer, Answers, FinishRow, KeepMessage, MemoryJournal, Reply, Row, RowState, StartRow

failed: list[bool] = []


class Watched(MemoryJournal):
    """A journal that notes which answers it is asked for, and breaks when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, ...]] = []
        self.is_broken = False

    def read(self, query: Any) -> Any:
        if isinstance(query, Answers):
            self.asked.append(query.rows)
            if self.is_broken:
                broken = asyncio.get_running_loop().create_future()
                broken.set_exception(JournalError("broken"))
                return broken
        return super().read(query)


async def _recorded(journal: Watched, number: int, size: int = 1) -> list[Row]:
    """Rows that have ended, each with a reply of its own of so many bytes."""
    journal.open()
    rows = []
    for place in range(number):
        id, key = journal.next_id(), f"key {place}".encode()
        rows.append(Row(id, 0, b"", place, "", "agent", RowState.FINISHED, id, id, 1, (), True, b"", 0.0))
        await journal.write(
            StartRow(id, 0, b"", place, "", "agent", id),
            KeepMessage(key, b"x" * size),
            FinishRow(id, RowState.FINISHED, id, (Reply(key, -1),)),
        )
    return rows


@pytest.fixture(autouse=True)
def _fresh() -> None:
    failed.clear()


async def test_whoever_asks_for_an_answer_has_its_neighbours_read() -> None:
    journal = Watched()
    rows = await _recorded(journal, 5)
    ahead = ReadAhead(journal, rows)

    answers = await asyncio.gather(*(ahead.of(row.id) for row in rows))

    assert [answer.replies[0].message for answer in answers] == [f"key {place}".encode() for place in range(5)]
    assert journal.asked == [tuple(row.id for row in rows)]


async def test_answers_are_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "_ROWS", 2)
    journal = Watched()
    rows = await _recorded(journal, 5)
    ahead = ReadAhead(journal, rows)
    ids = [row.id for row in rows]

    for id in (ids[3], ids[2], ids[0], ids[1], ids[4]):
        await ahead.of(id)

    assert journal.asked == [(ids[3],), (ids[2],), (ids[0], ids[1]), (ids[4],)]


async def test_large_answers_are_read_as_they_are_asked_for() -> None:
    journal = Watched()
    rows = await _recorded(journal, 3, size=1_000_000)
    ahead = ReadAhead(journal, rows)

    answers = await asyncio.gather(*(ahead.of(row.id) for row in rows))

    assert [sum(map(len, answer.bodies.values())) for answer in answers] == [1_000_000] * 3
    assert [len(asked) for asked in journal.asked] == [3, 2, 1]


async def test_a_used_answer_is_read_again_for_whoever_asks_for_it_alone() -> None:
    journal = Watched()
    rows = await _recorded(journal, 3)
    ahead = ReadAhead(journal, rows)
    ids = [row.id for row in rows]
    await ahead.of(ids[0])
    for id in ids:
        ahead.used(id)

    assert (await ahead.of(ids[1])).replies
    assert journal.asked == [tuple(ids), (ids[1],)]


async def test_a_row_that_has_not_ended_is_not_read_ahead() -> None:
    journal = Watched()
    rows = await _recorded(journal, 2)
    running = Row(7, 0, b"", 2, "", "agent", RowState.RUNNING, 7, 0, 1, (), True, b"", 0.0)
    ahead = ReadAhead(journal, [*rows, running])

    ahead.start()

    assert journal.asked == [tuple(row.id for row in rows)]
    ReadAhead(journal, [running]).start()
    assert len(journal.asked) == 1


async def test_whoever_leaves_does_not_end_the_read_for_others() -> None:
    journal = Watched()
    rows = await _recorded(journal, 2)
    ahead = ReadAhead(journal, rows)
    leaver = asyncio.ensure_future(ahead.of(rows[0].id))
    other = asyncio.ensure_future(ahead.of(rows[1].id))
    await asyncio.sleep(0)
    leaver.cancel()

    assert (await other).replies
    assert len(journal.asked) == 1


async def test_an_answer_that_has_come_this_very_moment_is_not_waited_for() -> None:
    journal = Watched()
    rows = await _recorded(journal, 1)
    ahead = ReadAhead(journal, rows)
    ahead.start()
    (read,) = ahead._reads.values()  # the callbacks of a future run at the next turn of the loop
    read.set_result({rows[0].id: Answer()})

    assert await ahead.of(rows[0].id) == Answer()


async def test_a_read_that_failed_is_made_again() -> None:
    journal = Watched()
    rows = await _recorded(journal, 1)
    ahead = ReadAhead(journal, rows)
    journal.is_broken = True
    with pytest.raises(JournalError):
        await ahead.of(rows[0].id)
    journal.is_broken = False

    assert (await ahead.of(rows[0].id)).replies


async def test_a_replayed_fan_out_reads_its_answers_at_once() -> None:
    @miniagent(durable=True)
    async def leaf(ctx: Any) -> None:
        ctx.reply(await ctx.message_promises)

    @miniagent(version="1", durable=True)
    async def fan(ctx: Any) -> None:
        for replies in [leaf.inquire(str(number)) for number in range(50)]:
            ctx.reply(await replies)
        await leaf.inquire("then one more")
        if not failed:
            failed.append(True)
            raise ValueError("later")

    journal = Watched()
    with pytest.raises(ValueError, match="later"):
        async with MiniAgents(journal=journal) as mini:
            await mini.run_job("j", fan)
    journal.asked.clear()
    async with MiniAgents(journal=journal) as mini:
        assert len(await mini.run_job("j", fan)) == 50

    assert [len(rows) for rows in journal.asked] == [51]
