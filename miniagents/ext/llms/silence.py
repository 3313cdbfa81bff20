"""Silence: a provider that says nothing for too long has stalled."""

import asyncio
from types import TracebackType
from typing import Self

_STEPS = 10


class Silence:
    """Ends its block with a `TimeoutError` when nothing was heard for some time.

    Only time in which the event loop runs counts: where the process was stopped, or the loop was held up, the provider
    may have spoken, and nobody listened. So time is counted in steps of a tenth, and a step that came late is one step.
    To hear something costs an assignment.

    Args:
        seconds: Seconds of silence, more than 0, that are too much; a tenth more may pass. None for no limit.

    Attributes:
        steps: How many steps of silence there were. Set it to 0 when something is heard.
    """

    __slots__ = ("_handle", "_loop", "_step", "_timeout", "steps")

    def __init__(self, seconds: float | None) -> None:
        self._step = seconds / _STEPS if seconds is not None else 0.0
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._handle: asyncio.TimerHandle | None = None
        self.steps = 0

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        if self._step:
            self._handle = self._loop.call_later(self._step, self._tick)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        await self._timeout.__aexit__(kind, error, tb)

    def _tick(self) -> None:
        self.steps += 1
        if self.steps > _STEPS:  # the first one may have begun before the silence did
            self._timeout.reschedule(self._loop.time())
        else:
            self._handle = self._loop.call_later(self._step, self._tick)
