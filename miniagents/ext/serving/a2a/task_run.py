"""`TaskRun`: the call of an agent that carries out a task, with what it says and what it waits for."""

import asyncio
from typing import TypeAlias

from miniagents.ext.serving.front_ends.part_writer import is_whole
from miniagents.ext.serving.http.problems import FAILURES
from miniagents.ext.serving.reply_pieces import Piece, spoken
from miniagents.ext.serving.runs import Run
from miniagents.journal.pending_wait import PendingWait

Event: TypeAlias = Piece | PendingWait | BaseException

_TURNS = 20
"""Turns of the loop in which replies from before a wait arrive."""


class TaskRun:
    """The call of an agent that carries out a task.

    Attributes:
        run: The call, once it has begun.
        asked: The wait that the caller was asked to answer, or None.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.asked: PendingWait | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._waits: list[PendingWait] = []
        self._reading: asyncio.Task[None] | None = None

    def began(self, run: Run) -> None:
        """Note the call, and read its replies from now on, until it ends."""
        self.run = run
        self._reading = asyncio.create_task(self._read(run))

    def waits(self, wait: PendingWait) -> None:
        """Note that the call, or one below it, waits for an answer from outside."""
        self._events.put_nowait(wait)

    async def next(self) -> Event:
        """Return the next event: a piece of the replies, the failure of the call, or a wait.

        Replies from before a wait come before it.
        """
        if self._events.empty() and self._waits:
            return self._waits.pop(0)
        event = await self._events.get()
        if not isinstance(event, PendingWait):
            return event
        self._waits.append(event)
        for _ in range(_TURNS):  # what the agent has said before it waited is on its way through several tasks
            await asyncio.sleep(0)
        return await self.next()

    async def _read(self, run: Run) -> None:
        try:
            async for piece in spoken(run.replies, is_whole=is_whole):
                self._events.put_nowait(piece)
        except FAILURES as error:
            self._events.put_nowait(error)
