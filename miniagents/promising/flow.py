"""Flows: streams that pause while the reader of what becomes of them is behind."""

import asyncio
from contextvars import ContextVar
from typing import Protocol


class Pausable(Protocol):
    """The side of a streamed promise that a flow uses."""

    pause: "asyncio.Future[None] | None"

    @property
    def is_wanted(self) -> bool:
        """Whether a task waits for the next piece, or has asked for the whole."""

    def end_pause(self) -> None:
        """End the pause, if there is one."""


class Flow:
    """Tells the streams that were started in its context when to pause. Subclasses set `is_full`.

    A stream that a task waits for does not pause: a reader that is behind must not hold up other readers. A pause
    is ended by the reader (`resume`), by a task that begins to wait for the stream, or by a cancel of the stream's
    task.

    Attributes:
        is_full: Whether streams that no task waits for are to pause. They look at it after each piece.
        paused: The streams that pause, each with the number of tasks that pause for it.
    """

    __slots__ = ("is_full", "paused")

    def __init__(self) -> None:
        self.paused: dict[Pausable, int] = {}
        self.is_full = False

    async def room(self, promise: Pausable) -> None:
        """Pause the calling task while the flow is full and no task waits for the promise that it feeds.

        Several tasks may feed one promise and pause at once.
        """
        while self.is_full and not promise.is_wanted:
            pause = promise.pause
            if pause is None or pause.done():
                pause = promise.pause = asyncio.get_running_loop().create_future()
            self.paused[promise] = self.paused.get(promise, 0) + 1
            try:
                await asyncio.shield(pause)  # a task that is cancelled ends its own pause alone
            finally:
                count = self.paused.pop(promise) - 1
                if count:
                    self.paused[promise] = count
                elif promise.pause is pause:
                    promise.pause = None

    def resume(self) -> None:
        """Let the paused streams go on, unless the flow is full."""
        if not self.is_full:
            for promise in self.paused:
                promise.end_pause()


current_flow: ContextVar[Flow | None] = ContextVar("miniagents.current_flow", default=None)
"""The flow of the streams that are started now; None where no reader slows them down."""
