"""Silence: a provider that says nothing for too long has stalled."""

import asyncio

_STEPS = 10


class Silence:
    """Notices that nothing was heard for some time: then `timeout`, which the caller enters, raises a `TimeoutError`.

    Only time in which the event loop runs counts: where the process was stopped, or the loop was held up, the provider
    may have spoken, and nobody listened. So time is counted in steps of a tenth, and a step that came late is one step.
    To hear something costs an assignment.

    Args:
        seconds: Seconds of silence, more than 0, that are too much; a tenth more may pass. None for no limit.

    Attributes:
        timeout: What ends.
        steps: How many steps of silence there were. Set it to 0 when something is heard.
    """

    __slots__ = ("_handle", "_loop", "_step", "steps", "timeout")

    def __init__(self, seconds: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._step = seconds / _STEPS if seconds is not None else 0.0
        self._handle: asyncio.TimerHandle | None = None
        self.timeout = asyncio.timeout(None)
        self.go_on()

    def go_on(self) -> None:
        """Listen from now on."""
        self.steps = 0
        if self._step:
            self._handle = self._loop.call_later(self._step, self._tick)

    def stop(self) -> None:
        """Listen no longer. It must be called, or the loop listens on."""
        if self._handle is not None:
            self._handle.cancel()

    def _tick(self) -> None:
        self.steps += 1
        if self.steps > _STEPS:  # the first one may have begun before the silence did
            self.timeout.reschedule(self._loop.time())
        else:
            self._handle = self._loop.call_later(self._step, self._tick)
