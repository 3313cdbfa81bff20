"""Work: what was started for a promise, which is cancelled with it however deep it goes."""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

Endings = dict["asyncio.Future[Any]", Any]
"""What was told to end and has not: the tasks and futures of that, and whose each of them is."""

_LOOK_AT = 16


class Cancellable(Protocol):
    """What is started for a promise: another promise, the call of an agent, whoever owes an answer."""

    def _is_over(self) -> bool:
        """Whether there is nothing to cancel any more."""

    def _cancel_alone(self, reason: object, endings: Endings) -> "Iterable[Cancellable]":
        """End it alone, as far as that can be done at once; what takes longer is put into `endings`.

        Returns:
            What was started for it, which is to end, too.
        """


class Work(list[Any]):
    """What was started for one promise, in order, as long as it goes on.

    What is over stays in it until there is twice as much: to be told of each end would cost more.
    """

    __slots__ = ("_look_at",)

    def __init__(self, those: "Iterable[Cancellable]" = ()) -> None:
        super().__init__(those)
        self._look_at = _LOOK_AT

    def add(self, one: Cancellable) -> None:
        """Something more."""
        if len(self) >= self._look_at:
            self[:] = [other for other in self if not other._is_over()]
            self._look_at = max(_LOOK_AT, 2 * len(self))
        self.append(one)


def with_one_more(started: Any, one: Cancellable) -> Any:
    """What was started for something, and one thing more.

    Args:
        started: What was: None, one thing, or `Work`. Most promises have one at a time.
        one: What is started now.
    """
    if started is None:
        return one
    if started.__class__ is Work:
        started.add(one)
        return started
    return one if started._is_over() else Work((started, one))


def each_of(started: Any) -> "Iterable[Any]":
    """Each thing of what `with_one_more` gave."""
    return () if started is None else started if started.__class__ is Work else (started,)


def end_all(*all_of_it: Cancellable, reason: object, expired: bool = False) -> Endings:
    """End things and everything that was started for them, and for that, however deep.

    Args:
        all_of_it: What to end.
        reason: Why.
        expired: Whether it is because a deadline has passed: what has inherited that ends by itself, in its own way.

    Returns:
        What still runs.
    """
    endings: Endings = {}
    below = list(all_of_it)
    for one in below:  # it grows meanwhile; no recursion, since nothing bounds the depth
        if not expired or getattr(one, "deadline", None) is None:
            below += one._cancel_alone(reason, endings)
    return endings


def end_task(task: "asyncio.Task[Any] | None", reason: object, endings: Endings, owner: object) -> None:
    """Cancel a task, once, unless it is that task which asks for it."""
    if task is None or task.done() or task in endings or task is asyncio.current_task():
        return
    task.cancel(None if reason is None else str(reason))
    endings[task] = owner


async def wait_for_all(endings: Iterable["asyncio.Future[Any]"], timeout: float | None = None) -> None:
    """Wait until all of these, but the task that this runs in, have ended, or until `timeout` seconds have passed."""
    me = asyncio.current_task()
    running = [one for one in endings if one is not me and not one.done()]
    if running:
        await asyncio.wait(running, timeout=timeout)
