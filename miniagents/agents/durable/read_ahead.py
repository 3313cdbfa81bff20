"""`ReadAhead`: the recorded answers of calls, of which a replay reads many at a time."""

import asyncio
from bisect import bisect_left
from collections.abc import Iterable
from functools import partial

from miniagents.journal import Answer, Answers, Journal, Row, RowState

_ROWS = 4000
"""How many rows are read at a time, unless their messages are large (`Answers.most_bytes`)."""


class ReadAhead:
    """The recorded answers of the calls below a row.

    A replay asks for nearly all of them, in about the order of the rows. So whoever asks for one has its neighbours
    read, too, and a call after another one need not wait for the thread of the journal each time.

    Args:
        journal: The journal.
        rows: The rows. Only those that have ended have answers.
    """

    __slots__ = ("_answers", "_journal", "_reads", "_rows", "_used")

    def __init__(self, journal: Journal, rows: Iterable[Row]) -> None:
        self._journal = journal
        self._rows = sorted(row.id for row in rows if row.state in (RowState.FINISHED, RowState.FAILED))
        self._answers: dict[int, Answer] = {}
        self._used: set[int] = set()
        self._reads: dict[int, asyncio.Future[dict[int, Answer]]] = {}

    def start(self) -> None:
        """Read the first answers, for whoever asks for them soon."""
        if self._rows:
            self._read(0)

    async def of(self, row: int) -> Answer:
        """Return the answer of a row.

        Raises:
            JournalError: The journal cannot be read.
        """
        while (answer := self._answers.get(row)) is None:
            at = bisect_left(self._rows, row)
            read = self._reads.get(at // _ROWS)
            if read is None:
                read = self._read(at)
            elif read.done():
                self._take_in(at // _ROWS, read)  # its callback comes at the next turn of the loop
                continue
            await asyncio.shield(read)  # others wait for it, too
        return answer

    def used(self, row: int) -> None:
        """Forget the answer of a row, since it is not needed any more."""
        self._used.add(row)
        self._answers.pop(row, None)

    def _read(self, at: int) -> "asyncio.Future[dict[int, Answer]]":
        """Read the answer of the row at a place, and those of the rows after it on the same page."""
        page = at // _ROWS
        rows = [
            id for id in self._rows[at + 1 : (page + 1) * _ROWS] if id not in self._used and id not in self._answers
        ]
        read = self._reads[page] = self._journal.read(Answers((self._rows[at], *rows)))
        read.add_done_callback(partial(self._take_in, page))
        return read

    def _take_in(self, page: int, read: "asyncio.Future[dict[int, Answer]]") -> None:
        if self._reads.get(page) is not read:
            return
        del self._reads[page]
        if not read.cancelled() and read.exception() is None:
            self._answers.update(read.result())
