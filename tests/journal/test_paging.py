"""Reading the rows of a journal page by page."""

from typing import Any

import pytest

from miniagents.journal import Children, MemoryJournal, RowsOfJob, StartRow, paging
from miniagents.journal.paging import children_of, rows_of


class CountingJournal(MemoryJournal):
    """A journal that notes what was read."""

    queries: list[Any]

    def read(self, query: Any) -> Any:
        self.queries.append(query)
        return super().read(query)


@pytest.fixture
async def journal(monkeypatch: pytest.MonkeyPatch) -> CountingJournal:
    """An open journal with a root of five calls, of which pages hold two."""
    monkeypatch.setattr(paging, "PAGE", 2)
    journal = CountingJournal()
    journal.queries = []
    journal.open()
    for parent in (0, 1, 1, 1, 1, 1, 4):
        row = journal.next_id()
        journal.write(StartRow(row, parent, b"slot", 0, "job-42", "agent", row))
    return journal


async def test_the_rows_of_a_job_come_whole_however_many_pages_they_fill(journal: CountingJournal) -> None:
    assert [row.id for row in await rows_of(journal, "job-42")] == [1, 2, 3, 4, 5, 6, 7]
    assert [query.after for query in journal.queries] == [0, 2, 4, 6]
    assert {type(query) for query in journal.queries} == {RowsOfJob}


async def test_the_rows_directly_below_a_row_come_whole(journal: CountingJournal) -> None:
    assert [row.id for row in await children_of(journal, 1)] == [2, 3, 4, 5, 6]
    assert {type(query) for query in journal.queries} == {Children}


async def test_a_page_that_is_not_full_is_the_last_one_that_is_read(journal: CountingJournal) -> None:
    assert [row.id for row in await children_of(journal, 4)] == [7]
    assert await rows_of(journal, "unknown") == []
    assert len(journal.queries) == 2
