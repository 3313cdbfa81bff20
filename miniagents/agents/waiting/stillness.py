"""`Stillness`: whether calls do nothing but wait, for the clock, for answers from outside, and for each other."""

import asyncio
from collections.abc import Collection, Container
from typing import Any

from miniagents.actors.waiting.helper_tasks import awaited_future, waited_for_together
from miniagents.actors.waiting.search import wait_of
from miniagents.agents.interaction import Interaction
from miniagents.promising.streamed import Failure


class Stillness:
    """A look at what the tasks of calls wait for. What cannot be seen counts as work.

    Args:
        calls: The calls. Whoever waits for one of them is still if that one is.
        resting: The tasks that wait for the clock or for an answer.
    """

    def __init__(self, calls: Collection[Interaction], resting: Container[object]) -> None:
        self._calls = calls
        self._resting = resting
        self._seen: set[object] = set()

    def is_complete(self) -> bool:
        """Return True if the code of all calls waits, with the tasks that it has started, and their replies wait for
        nothing else."""
        return all(
            call.task is not None
            and all(map(self._waits, call.tasks()))
            and all(
                type(reply) is Failure or reply.done() or self._is_held(reply, None) for reply in call.replies.pieces
            )
            for call in self._calls
        )

    def _waits(self, task: "asyncio.Future[Any]") -> bool:
        waited = awaited_future(task)
        if waited is None or waited.done():
            return False  # it runs, or is about to: its answer has just come
        if task in self._resting or task in self._seen:
            return True
        self._seen.add(task)
        wait = wait_of(task)
        if wait is not None:
            promise, at, _ = wait[1]
            return self._is_held(promise, at)
        members = waited_for_together(task) if isinstance(task, asyncio.Task) else None
        return bool(members) and all(map(self._waits, members or ()))

    def _is_held(self, promise: Any, at: int | None) -> bool:
        """Return True if a promise comes from these calls alone."""
        held = promise.held_by(at)
        return held is not None and bool(held[1]) and all(map(self._is_still, held[1]))

    def _is_still(self, cause: Any) -> bool:
        if isinstance(cause, tuple):
            return self._is_held(*cause)
        return self._waits(cause) if isinstance(cause, asyncio.Future) else cause in self._calls
