"""`Reconnecting`: the pauses before new connections to a server."""

from collections.abc import Callable

from miniagents.supervision import Backoff

BACKOFF = Backoff(first=0.5, maximum=60.0, jitter=0.3)
"""The pauses double up to a minute. At that pace a server is probed for as long as the system lives."""

_HEALTHY_AFTER = 30.0
"""Seconds that a connection must have lasted so that the next pause is the first one again."""


class Reconnecting:
    """Decides when a server that is not connected is tried again.

    Every end of a connection counts as a failure, however it came about. A server that starts and ends at once is
    therefore started more and more rarely.

    Args:
        random: Returns a number from 0 to 1 for the jitter.

    Example:
        >>> reconnecting = Reconnecting(lambda: 0.5)
        >>> reconnecting.failed(now=0.0), reconnecting.failed(now=1.0)
        (0.5, 1.0)
        >>> reconnecting.connected(now=2.0)
        >>> reconnecting.failed(now=33.0)
        0.5
    """

    __slots__ = ("_connected_at", "_failures", "_random")

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0
        self._connected_at: float | None = None

    def connected(self, now: float) -> None:
        """Note that the server is connected.

        Args:
            now: The time in seconds, on the clock of the event loop.
        """
        self._connected_at = now

    def failed(self, now: float) -> float:
        """Note that a connection ended, or could not be made.

        Args:
            now: The time in seconds, on the same clock.

        Returns:
            The seconds until the next attempt.
        """
        if self._connected_at is not None and now - self._connected_at >= _HEALTHY_AFTER:
            self._failures = 0
        self._connected_at = None
        delay = BACKOFF.delay(self._failures, self._random)
        self._failures += 1
        return delay
