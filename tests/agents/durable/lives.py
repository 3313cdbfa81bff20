"""Programs that are killed at a write of their journal and started again, in one process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from miniagents.journal import MemoryJournal, Row

T = TypeVar("T")


class Killed(Exception):
    """The process was taken to die."""


def life(journal: MemoryJournal, main: Callable[[MemoryJournal], Awaitable[T]]) -> T:
    """Run a program until it ends, or its journal dies.

    Raises:
        Killed: The journal has died. What the program has written up to then is in `journal.after_death()`.
    """

    async def until_death() -> T:
        task = asyncio.ensure_future(main(journal))
        loop = asyncio.get_running_loop()
        # An own callback for each life, since the loop is new.
        setattr(journal, "_on_death", lambda: loop.call_soon(task.cancel))  # noqa: B010
        try:
            return await task
        except asyncio.CancelledError:
            if journal.is_dead:
                raise Killed from None
            raise

    return asyncio.run(until_death())


def lives(
    main: Callable[[MemoryJournal], Awaitable[T]], *, die_at: int, patience: float = 0.05
) -> tuple[T, MemoryJournal, int]:
    """Run a program to its end, through one death.

    Args:
        main: The program.
        die_at: The number of the write at which its first life ends.
        patience: That of the journal.

    Returns:
        What the program returned, its journal, and how many lives it had.
    """
    journal = MemoryJournal(die_at=die_at, patience=patience)
    number = 1
    while True:
        try:
            return life(journal, main), journal, number
        except Killed:
            journal = journal.after_death()
            number += 1


def rows(journal: MemoryJournal) -> dict[int, Row]:
    """Return the rows that are in a journal."""
    model: Any = getattr(journal, "_model")  # noqa: B009
    found: dict[int, Row] = model.jobs.rows.rows
    return dict(found)


def replies(journal: MemoryJournal, row: int) -> list[bytes]:
    """Return the keys of the replies of a row."""
    model: Any = getattr(journal, "_model")  # noqa: B009
    return [reply.message for reply in model.jobs.rows.replies.get(row, ())]
