"""`Uses`: the uses of a connection under way, and how long there has been none."""

from collections.abc import Callable


class Uses:
    """The uses of a connection. It is a context, once for each use.

    Args:
        clock: Returns the time in seconds.

    Example:
        >>> times = iter([0.0, 3.0, 5.0])
        >>> uses = Uses(lambda: next(times))
        >>> with uses:
        ...     uses.idle_for
        0.0
        >>> uses.idle_for
        2.0
    """

    __slots__ = ("_clock", "_last", "_number")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._number = 0
        self._last = clock()

    def __enter__(self) -> None:
        self._number += 1

    def __exit__(self, *_: object) -> None:
        self._number -= 1
        self._last = self._clock()

    @property
    def idle_for(self) -> float:
        """Seconds since the last use; 0 while there is one."""
        return 0.0 if self._number else self._clock() - self._last
