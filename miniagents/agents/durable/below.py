"""`Below`: the recorded calls below a row, as the calls that the code of this row makes now find them."""

import asyncio
import bisect
import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from miniagents.agents.durable.read_ahead import ReadAhead
from miniagents.agents.durable.read_once import ReadOnce
from miniagents.journal import Answer, Journal, Row, RowState
from miniagents.journal.paging import children_of

_NOTHING: dict[Any, Any] = {}
_NOBODY: set[int] = set()
"""In the place of containers of a row with nothing below it. Nothing is ever put into them."""


class Below(ReadOnce):
    """The place of a row in the journal, for the calls that its code makes.

    A row is found by its slot. Several rows of a slot are told apart by their inputs; equal ones are given out in the
    order of their numbers. A row is given out once.

    Args:
        journal: The journal.
        row: The row; 0 for the place above the root of a job.
        job: The name of the job.
        chain: The chain of agents down to this row.
        is_fresh: Whether the row is new, so that nothing is below it.
        former: The rows of the same call under other versions of its code, below which calls may be adopted.
        adopts: Whether calls below other versions of the code are adopted.

    Attributes:
        row: As above.
        job: As above.
        chain: As above.
    """

    __slots__ = (
        "_adopts",
        "_answers",
        "_by_input",
        "_former",
        "_given",
        "_journal",
        "_numbers",
        "_rows",
        "_turns",
        "chain",
        "job",
        "row",
    )

    def __init__(
        self,
        journal: Journal,
        row: int,
        job: str,
        chain: bytes,
        *,
        is_fresh: bool,
        former: tuple[int, ...] = (),
        adopts: bool = False,
    ) -> None:
        super().__init__(is_loaded=is_fresh and not former)
        self.row = row
        self.job = job
        self.chain = chain
        self._journal = journal
        self._adopts = adopts
        self._former = former
        # Most calls have nothing below them, and there may be very many: they make no containers.
        self._rows: dict[bytes, list[Row]] | None = None
        self._by_input: dict[tuple[bytes, tuple[bytes, ...]], deque[Row]] = _NOTHING
        self._given: set[int] = _NOBODY
        self._numbers: dict[bytes, int] | None = None
        self._turns: Turns | None = None
        self._answers: ReadAhead | None = None

    def next_number(self, slot: bytes) -> int:
        """Return the number of a new row in a slot."""
        if self._numbers is None:
            self._numbers = {}
        number = self._numbers.get(slot, 0)
        self._numbers[slot] = number + 1
        return number

    @property
    def is_empty(self) -> bool:
        """True if it is known that nothing is recorded below the row."""
        return self._is_loaded and not self._rows

    async def _load(self) -> None:
        rows: list[Row] = []
        for parent in (self.row, *self._former):
            rows += await children_of(self._journal, parent)
        self.take_in(rows)
        if self._answers is not None:
            self._answers.start()

    def take_in(self, rows: Iterable[Row]) -> None:
        """Take in the recorded rows."""
        rows = tuple(rows)
        self._is_loaded = True
        if not rows:
            return
        found = self._rows = {}
        numbers = self._numbers = {}
        self._by_input, self._given = {}, set()
        for row in rows:
            found.setdefault(row.slot, []).append(row)
            if row.parent == self.row:
                numbers[row.slot] = max(numbers.get(row.slot, 0), row.number + 1)
        for candidates in found.values():
            candidates.sort(key=lambda row: (row.parent != self.row, row.number, row.id))
            for row in candidates:
                if row.is_input_complete:
                    self._by_input.setdefault((row.slot, row.inputs), deque()).append(row)
        self._turns = Turns(row.finished for row in rows if row.finished and row.state is not RowState.CANCELLED)
        self._answers = ReadAhead(self._journal, rows)

    def former(self, agent: str) -> tuple[int, ...]:
        """Return the rows of an agent that have not been given out, for a call of it that has none of its own: they are
        of other code, or of other arguments. () unless the job adopts what is below them."""
        if not self._adopts or self._rows is None:
            return ()
        rows = [row for candidates in self._rows.values() for row in candidates if row.agent == agent]
        former = tuple(sorted(row.id for row in rows if row.id not in self._given))
        self._given.update(former)
        return former

    def recorded(self, slot: bytes) -> list[Row]:
        """Return the rows of a slot that have not been given out, in the order of their numbers."""
        rows = self._rows.get(slot, ()) if self._rows is not None else ()
        return [row for row in rows if row.id not in self._given]

    def with_input(self, slot: bytes, inputs: Sequence[bytes]) -> Row | None:
        """Return the first row of a slot that has not been given out and has exactly this input; None if there is
        none. In a fan-out all calls are in one slot, so they are found by their inputs."""
        rows = self._by_input.get((slot, tuple(inputs)))
        while rows and rows[0].id in self._given:
            rows.popleft()
        return rows[0] if rows else None

    def cut_off(self, row: Row) -> None:
        """Offer a row again whose call was cut off: the next equal call goes on with it."""
        if self._rows is None:
            self._rows, self._by_input, self._given = {}, {}, set()
        rows = self._rows.setdefault(row.slot, [])
        self._given.discard(row.id)
        if all(other.id != row.id for other in rows):
            rows.append(row)

    def is_own(self, row: Row) -> bool:
        """Return True if a row is below this one, and not below one of another version."""
        return row.parent == self.row

    def give(self, row: Row) -> None:
        """Give a row out to a call."""
        self._given.add(row.id)

    def take_back(self, row: Row) -> None:
        """Take a row back, since the call that it was given to is another one."""
        self._given.discard(row.id)
        if row.is_input_complete:
            rows = self._by_input[row.slot, row.inputs]
            if row not in rows:
                rows.appendleft(row)

    def was_repeated(self, row: Row) -> bool:
        """Return True if an equal call came after a row: the code has tried again."""
        return any(
            other.inputs == row.inputs and other.number > row.number and other.parent == row.parent
            for other in (self._rows or {}).get(row.slot, ())
        )

    async def answer(self, row: Row) -> Answer:
        """Return the recorded answer of a row.

        Raises:
            JournalError: The journal cannot be read.
        """
        assert self._answers is not None  # the row is one of those that were taken in
        return await self._answers.of(row.id)

    async def turn(self, row: Row, patience: float) -> None:
        """Wait until the calls that had ended before a row have ended again, or for `patience` seconds."""
        if self._turns is not None:
            await self._turns.wait(row.finished, patience)

    def ended(self, row: Row) -> None:
        """Note that a row has ended again, or will not end as it did."""
        if self._turns is not None and self._answers is not None:
            self._turns.ended(row.finished)
            self._answers.used(row.id)


class Turns:
    """The order in which recorded calls end, which is that in which they had ended.

    A call that had ended before others may never be made again. So each wait is bounded, and what has been waited for
    in vain is not waited for again.

    Args:
        ends: The numbers of the recorded ends.
    """

    __slots__ = ("_at", "_ends", "_gone", "_heap", "_waiting")

    def __init__(self, ends: Iterable[int]) -> None:
        self._ends = sorted(ends)
        self._at = 0
        self._gone: set[int] = set()
        self._heap: list[int] = []
        self._waiting: dict[int, asyncio.Future[None]] = {}

    async def wait(self, end: int, patience: float) -> None:
        """Wait until a call may end.

        Args:
            end: The number of its recorded end.
            patience: The most seconds to wait.
        """
        if self._first() >= end:
            return
        future = self._waiting[end] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, end)
        try:
            async with asyncio.timeout(patience):
                await future
        except TimeoutError:
            self._at = max(self._at, bisect.bisect_left(self._ends, end))
            self._let_go()
        finally:
            self._waiting.pop(end, None)

    def ended(self, end: int) -> None:
        """Note that a call has ended, and end the waits for it alone."""
        self._gone.add(end)
        self._let_go()

    def _let_go(self) -> None:
        """End the waits for which nothing is left to be waited for."""
        first = self._first()
        while self._heap and self._heap[0] <= first:
            future = self._waiting.get(heapq.heappop(self._heap))
            if future is not None and not future.done():
                future.set_result(None)

    def _first(self) -> float:
        while self._at < len(self._ends):
            end = self._ends[self._at]
            if end not in self._gone:
                return end
            self._gone.discard(end)
            self._at += 1
        return float("inf")
