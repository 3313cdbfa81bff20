"""`Silence`: a timeout for a provider that sends nothing for too long."""

import asyncio

_STEPS = 10


class Silence:
    """A timeout that expires when nothing has arrived for some time; the caller enters `timeout`.

    Only time in which the event loop runs counts: while the process is stopped or the loop is blocked, data may arrive
    unread. So time is counted in steps of a tenth, and a late step counts as one. To note an arrival costs an
    assignment.

    Args:
        seconds: The seconds of silence after which the timeout expires, more than 0; up to a tenth more may pass. None
            for no limit.

    Attributes:
        timeout: The timeout, which raises `TimeoutError` where it is entered.
        steps: The steps of silence so far. Set it to 0 when something arrives.
    """

    __slots__ = ("_handle", "_loop", "_step", "steps", "timeout")

    def __init__(self, seconds: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._step = seconds / _STEPS if seconds is not None else 0.0
        self._handle: asyncio.TimerHandle | None = None
        self.timeout = asyncio.timeout(None)
        self.go_on()

    def go_on(self) -> None:
        """Begin to count, or continue after `stop`."""
        self.steps = 0
        if self._step:
            self._handle = self._loop.call_later(self._step, self._tick)

    def stop(self) -> None:
        """Stop counting. Call it at the end, since the timer goes on otherwise."""
        if self._handle is not None:
            self._handle.cancel()

    def _tick(self) -> None:
        self.steps += 1
        if self.steps > _STEPS:  # the first step may have begun before the silence
            self.timeout.reschedule(self._loop.time())
        else:
            self._handle = self._loop.call_later(self._step, self._tick)
