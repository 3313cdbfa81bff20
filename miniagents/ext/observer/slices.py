"""Slices: long work of the observer, cut into pieces between which the agents of the same loop go on."""

import asyncio
from time import thread_time

SLICE = 0.001
"""Seconds of CPU time after which the work makes room for others."""


class Slices:
    """The slices of one piece of work.

    Ask `is_over` after every few steps, and await `next()` if it is True.

    Args:
        seconds: The CPU time of a slice, more than 0.

    Example:
        >>> slices = Slices(seconds=1e-9)
        >>> slices.is_over
        True
        >>> await slices.next()
    """

    __slots__ = ("_seconds", "_until")

    def __init__(self, seconds: float = SLICE) -> None:
        self._seconds = seconds
        self._until = thread_time() + seconds

    @property
    def is_over(self) -> bool:
        """True if the slice has used its time."""
        return thread_time() > self._until

    async def next(self) -> None:
        """Let the loop go on for one turn, and begin another slice."""
        await asyncio.sleep(0)
        self._until = thread_time() + self._seconds
