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

    loop = asyncio.new_event_loop()
    setattr(journal, "_on_death", loop.stop)  # noqa: B010 - an own callback for each life, since the loop is new
    try:
        task = loop.create_task(_as_coroutine(main(journal)))
        try:
            return loop.run_until_complete(task)
        except RuntimeError:
            if not journal.is_dead:
                raise
        loop.set_exception_handler(lambda *_: None)
        while tasks := asyncio.all_tasks(loop):
            for other in tasks:
                other.cancel()
            loop.run_until_complete(asyncio.wait(tasks, timeout=0.05))
        raise Killed
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _as_coroutine(main: Awaitable[T]) -> T:
    return await main


def rows(journal: MemoryJournal) -> dict[int, Row]:
    """Return the rows that are in a journal."""
    model: Any = getattr(journal, "_model")  # noqa: B009
    found: dict[int, Row] = model.jobs.rows.rows
    return dict(found)


def replies(journal: MemoryJournal, row: int) -> list[bytes]:
    """Return the keys of the replies of a row."""
    model: Any = getattr(journal, "_model")  # noqa: B009
    return [reply.message for reply in model.jobs.rows.replies.get(row, ())]
