"""Flows: streams that pause while whoever reads what becomes of them is behind."""

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagents.promising.streamed import StreamedPromise


class Flow:
    """Says when the streams that were started in its context are to pause. Subclasses set `is_full`.

    A stream that somebody waits for goes on all the same: who is behind holds up what nobody else needs yet. So each
    pause is ended by the reader (`resume`), by somebody who begins to wait for the stream, or by a cancel of its task.

    Attributes:
        is_full: Whether streams that nobody waits for are to pause; looked at after each piece.
    """

    __slots__ = ("_paused", "is_full")

    def __init__(self) -> None:
        self._paused: dict[StreamedPromise[Any, Any], None] = {}
        self.is_full = False

    @property
    def has_paused(self) -> bool:
        """Whether any stream pauses."""
        return bool(self._paused)

    async def room(self, promise: "StreamedPromise[Any, Any]") -> None:
        """Pause what feeds a promise, as long as that is right."""
        while self.is_full and not promise._is_wanted:
            pause = promise._pause = asyncio.get_running_loop().create_future()
            self._paused[promise] = None
            try:
                await pause
            finally:
                del self._paused[promise]
                if promise._pause is pause:
                    promise._pause = None

    def resume(self) -> None:
        """Let the streams that pause go on, if that is right."""
        if not self.is_full:
            for promise in self._paused:
                promise._go_on()


current_flow: ContextVar[Flow | None] = ContextVar("miniagents.current_flow", default=None)
"""The flow that streams are part of which are started now; None where nobody's reading slows them down."""
