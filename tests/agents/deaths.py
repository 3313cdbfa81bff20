"""Programs whose process dies at a write of the journal, and is started again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from miniagents import MiniAgents
from miniagents.journal import MemoryJournal

T = TypeVar("T")

Program = Callable[[MiniAgents], Awaitable[T]]


class Died(Exception):
    """The process has died."""


async def lived(journal: MemoryJournal, program: Program[T], died: asyncio.Event | None = None) -> T:
    """Run a program in a process of its own, until it ends or dies.

    Raises:
        Died: It has died.
    """
    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        work = asyncio.ensure_future(program(mini))
        death = asyncio.ensure_future(died.wait() if died is not None else asyncio.Event().wait())
        try:
            await asyncio.wait([work, death], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise Died
            return work.result()
        finally:
            for task in (work, death):
                task.cancel()
            await asyncio.gather(work, death, return_exceptions=True)


async def lived_twice(program: Program[T], *, at: int) -> tuple[T, bool]:
    """Run a program that dies at a write, and then to its end.

    Returns:
        Its result, and whether it has died: it may make fewer writes.
    """
    died = asyncio.Event()
    journal = MemoryJournal(die_at=at, on_death=died.set)
    try:
        return await lived(journal, program, died), False
    except Died:
        return await lived(journal.after_death(), program), True
