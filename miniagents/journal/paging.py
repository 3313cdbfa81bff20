"""Reading rows of a journal page by page, so that no answer of the journal is too large."""

import asyncio
from collections.abc import Callable

from miniagents.journal.journal import Journal
from miniagents.journal.rows import Children, Row, RowsOfJob

PAGE = 1000
"""How many rows are read at once."""


async def rows_of(journal: Journal, job: str) -> list[Row]:
    """Return all rows of a job, in the order of their ids.

    Args:
        journal: The journal, which is open.
        job: The name of the job.

    Raises:
        JournalError: The journal cannot be read.
    """
    return await _all_pages(lambda after: journal.read(RowsOfJob(job, after, PAGE)))


async def children_of(journal: Journal, row: int) -> list[Row]:
    """Return all rows directly below a row, in the order of their ids.

    Args:
        journal: The journal, which is open.
        row: The id of the row.

    Raises:
        JournalError: The journal cannot be read.
    """
    return await _all_pages(lambda after: journal.read(Children(row, after, PAGE)))


async def _all_pages(read: "Callable[[int], asyncio.Future[tuple[Row, ...]]]") -> list[Row]:
    """Read pages until one is not full.

    Args:
        read: Reads the page that begins behind the row of an id.
    """
    rows: list[Row] = []
    page = await read(0)
    while len(page) == PAGE:
        rows += page
        page = await read(page[-1].id)
    rows += page
    return rows
