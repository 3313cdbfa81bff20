"""Restart intensity: the number of restarts that a supervisor allows before it gives up.

The rule is that of Erlang/OTP's `supervisor` (flags `intensity` and `period`), with two differences. OTP reads its
clock in whole seconds, and we count in float seconds. OTP always has a limit, and here `None` is no limit.
"""

from collections import deque

from miniagents.errors import InvalidOptionError


class RestartWindow:
    """The restarts of one supervisor in the last `within` seconds.

    As in OTP, the restarts of all children count together, and so do attempts to restart that fail.

    Args:
        max_restarts: Restarts allowed in the window, 0 or more; with 0 the first is one too many. None for no limit.
        within: Length of the window in seconds, more than 0. A restart exactly `within` ago still counts.

    Raises:
        InvalidOptionError: An argument is outside its range.
    """

    __slots__ = ("_max_restarts", "_times", "_within")

    def __init__(self, max_restarts: int | None, within: float) -> None:
        if max_restarts is not None and max_restarts < 0:
            raise InvalidOptionError(f"max_restarts must be 0 or more, or None, not {max_restarts!r}")
        if not within > 0:  # written this way round it also refuses NaN
            raise InvalidOptionError(f"within must be more than 0 seconds, not {within!r}")
        self._max_restarts = max_restarts
        self._within = within
        # The verdict depends on the last max_restarts + 1 restarts alone: nothing to prune, bounded memory.
        self._times: deque[float] = deque(maxlen=0 if max_restarts is None else max_restarts + 1)

    def record(self, now: float) -> bool:
        """Count one restart.

        Args:
            now: The time, on `loop.time()`. It never goes back.

        Returns:
            True if the supervisor may go on, False if this restart was one too many.
        """
        if self._max_restarts is None:
            return True
        self._times.append(now)
        return len(self._times) <= self._max_restarts or now - self._times[0] > self._within
