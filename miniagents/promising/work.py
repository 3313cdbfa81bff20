"""Work: what was started for a promise and is cancelled with it, however deep it goes."""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

Endings = dict["asyncio.Future[Any]", Any]
"""The tasks and futures that were told to end and have not ended yet, each with its owner."""

_LOOK_AT = 16


class Cancellable(Protocol):
    """Work that can be started for a promise: another promise, a call of an agent, an answer that is owed."""

    def is_over(self) -> bool:
        """Return whether there is nothing left to cancel."""

    def cancel_alone(self, reason: object, endings: Endings) -> "Iterable[Cancellable]":
        """Cancel this object, without what was started for it.

        Args:
            reason: Why, for logs and errors.
            endings: Gets the tasks that have been told to end and take longer.

        Returns:
            What was started for this object. The caller cancels that too.
        """


class Work(list[Cancellable]):
    """The work that was started for one promise, in the order of the starts.

    Ended work stays in the list until the list has doubled: to be told of each end would cost more.
    """

    __slots__ = ("_look_at",)

    def __init__(self, items: Iterable[Cancellable] = ()) -> None:
        super().__init__(items)
        self._look_at = _LOOK_AT

    def add(self, item: Cancellable) -> None:
        """Add a piece of work, and drop the ended ones if the list has doubled since that was done last."""
        if len(self) >= self._look_at:
            self[:] = [other for other in self if not other.is_over()]
            self._look_at = max(_LOOK_AT, 2 * len(self))
        self.append(item)


Started: TypeAlias = Cancellable | Work | None
"""The work that was started for a promise: none, one piece (the usual case), or several."""


def with_one_more(started: Started, item: Cancellable) -> Started:
    """Return what was started before, and `item`; ended work is left out where that costs nothing."""
    if started is None:
        return item
    if isinstance(started, Work):
        started.add(item)
        return started
    return item if started.is_over() else Work((started, item))


def each_of(started: Started) -> Iterable[Cancellable]:
    """Return each piece of work in a `Started`."""
    return () if started is None else started if isinstance(started, Work) else (started,)


def end_all(*items: Cancellable, reason: object, expired: bool = False) -> Endings:
    """Cancel work and everything that was started for it, at every depth.

    Args:
        *items: What to cancel.
        reason: Why.
        expired: A deadline has passed. Work that inherited the deadline is left alone, since it ends by itself, with
            an error of its own.

    Returns:
        The tasks that still run, each with its owner.
    """
    endings: Endings = {}
    remaining = list(items)
    for item in remaining:  # the list grows meanwhile; no recursion, since nothing bounds the depth
        if not expired or getattr(item, "deadline", None) is None:
            remaining += item.cancel_alone(reason, endings)
    return endings


def forget_ended(endings: Endings) -> None:
    """Let each task leave `endings` when it has ended: what it holds leads back to who keeps the dict."""

    def ended(task: "asyncio.Future[Any]") -> None:
        endings.pop(task, None)

    for task in endings:
        task.add_done_callback(ended)


def end_task(task: "asyncio.Task[Any] | None", reason: object, endings: Endings, owner: object) -> None:
    """Cancel a task once, and add it to `endings`; not if it has ended, and not if it is the current task."""
    if task is None or task.done() or task in endings or task is asyncio.current_task():
        return
    task.cancel(None if reason is None else str(reason))
    endings[task] = owner


async def wait_for_all(endings: Iterable["asyncio.Future[Any]"], timeout: float | None = None) -> None:
    """Wait until all of these have ended, the current task excepted.

    Args:
        endings: Tasks and futures.
        timeout: Wait no longer than these seconds; None for no limit.
    """
    current = asyncio.current_task()
    running = [task for task in endings if task is not current and not task.done()]
    if running:
        await asyncio.wait(running, timeout=timeout)
