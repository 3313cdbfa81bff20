"""`ProcessWaits`: the waits of calls that are in no journal, which end with the process."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from miniagents.journal.memory.waits import MemoryWaits
from miniagents.journal.operations import Operation
from miniagents.journal.waits import ConsumeAnswer, Deliver, EndWait, OpenWait, Wait, WaitId, Waits, WaitState

R = TypeVar("R")

_ALL = tuple(WaitState)

REMEMBERED = 1000
"""How many waits are remembered after their end, so that a second answer is told who was first."""


class ProcessWaits:
    """Waits in memory, by the rules of the journal.

    Example:
        >>> from miniagents.journal.waits import OpenWait, Wait, WaitId
        >>> waits = ProcessWaits()
        >>> wait = await waits.write(OpenWait(Wait(WaitId("", 1, "approval"))))
        >>> waits.takes("", "approval")
        True
    """

    def __init__(self) -> None:
        self._waits = MemoryWaits(lambda job: True, lambda job: None)
        self._ended: deque[WaitId] = deque()
        self._tables: dict[type[Any], Callable[[Any], Any]] = {
            OpenWait: self._waits.open,
            Deliver: self._waits.deliver,
            ConsumeAnswer: self._waits.consume,
            EndWait: self._waits.end,
        }

    def write(self, operation: Operation[R]) -> "asyncio.Future[R]":
        """Carry out an operation on waits.

        Returns:
            A future that has resolved: nothing goes to a disk.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        future.set_result(self._tables[type(operation)](operation))
        if isinstance(operation, (ConsumeAnswer, EndWait)):
            self._forget_old(operation.id)
        return future

    def takes(self, job: str, target: WaitId | str) -> bool:
        """Return whether an answer belongs to one of these waits: it has the id, or the name and is open."""
        if isinstance(target, WaitId):
            return target in self._waits.waits
        return any(wait.id.name == target for wait in self.open_waits(job))

    def at(self, job: str, target: WaitId | str) -> tuple[Wait, ...]:
        """Return the waits with an id, or with a name, whatever their states."""
        return tuple(wait for wait in self._waits.waits_of(Waits(job, _ALL)) if target in (wait.id, wait.id.name))

    def open_waits(self, job: str | None = None) -> tuple[Wait, ...]:
        """Return the waits without an answer of a job, or of all (None)."""
        return self._waits.waits_of(Waits(job))

    def _forget_old(self, id: WaitId) -> None:
        self._ended.append(id)
        if len(self._ended) > REMEMBERED:
            oldest = self._ended.popleft()
            wait = self._waits.waits.get(oldest)
            if wait is not None and wait.state is not WaitState.WAITING:
                del self._waits.waits[oldest]
