"""Helper tasks: which tasks a handler waits for, and what those have started in its name.

The code of a handler may be more than one task (`gather`, a `TaskGroup`). What such a task starts is cancelled with the
ask that the handler handles, if the handler waits for the task; one that was left to itself is no part of it.
"""

import asyncio
from collections.abc import Container, Iterable
from typing import Any

from miniagents.promising.cpython import (
    FUT_WAITER,
    callbacks_of,
    context_of,
    gathered_by,
    group_that_ends,
    heard_of,
    parent_of,
)
from miniagents.promising.scope import current_scope
from miniagents.promising.stacks import suspended
from miniagents.promising.work import Cancellable


class OfHelper:
    """Something that a helper task has started while its actor handled an ask.

    Args:
        task: The helper task.
        what: What it has started.
    """

    __slots__ = ("_task", "what")

    def __init__(self, task: "asyncio.Task[Any]", what: Cancellable) -> None:
        self._task = task
        self.what = what

    def is_of(self, handler: "asyncio.Task[Any] | None") -> bool:
        """Return True if it is part of what this handler does, or was until it was cancelled."""
        return self._task.cancelled() or (handler is not None and waits_for(handler, self._task))

    def is_over(self) -> bool:
        """See `Cancellable`."""
        return self.what.is_over()


def waits_for(handler: "asyncio.Task[Any]", helper: "asyncio.Task[Any]") -> bool:
    """Return True if a task waits for another one, through `await`, `gather`, a `TaskGroup`, `asyncio.wait` or
    `wait_for`, or through tasks that do so in turn. A wait that cannot be seen does not count."""
    above: list[Any] = [helper]
    seen = {id(helper)}
    for task in above:  # from the helper up: a task knows whom its end is told
        if task is handler:
            return True
        for waiter in _told_by(task):
            if id(waiter) not in seen:
                seen.add(id(waiter))
                above.append(waiter)
    return False


def _told_by(future: "asyncio.Future[Any]") -> Iterable[Any]:
    """The tasks and futures that the end of this one is told, save for a `shield`."""
    for callback in callbacks_of(future):
        owner = getattr(callback, "__self__", None)  # a task that awaits it, or a group that it is part of
        if isinstance(owner, asyncio.TaskGroup):
            yield parent_of(owner)
        elif isinstance(owner, asyncio.Future):
            yield owner
        elif not getattr(callback, "__qualname__", "").startswith("shield."):
            held = [cell.cell_contents for cell in getattr(callback, "__closure__", None) or ()]
            held += getattr(callback, "args", ())
            yield from (value for value in held if isinstance(value, asyncio.Future) and value is not future)


def awaited_future(task: "asyncio.Future[Any]") -> "asyncio.Future[Any] | None":
    """The future that a task waits for; None if it runs, or is about to."""
    handed = getattr(task, "waiting", None)  # of a turn that goes on in another worker as soon as the loop turns
    return handed if asyncio.isfuture(handed) else getattr(task, FUT_WAITER, None)


def waited_for_together(task: "asyncio.Task[Any]") -> "list[asyncio.Task[Any]] | None":
    """The tasks for all of which a task waits, as far as they go on: of `gather`, of a `TaskGroup`, or an awaited one.

    Returns:
        These tasks, or [] where nothing proves it; None if it may go on as soon as the loop has turned.
    """
    waited = awaited_future(task)
    if waited is None or waited.done():
        return None
    if isinstance(waited, asyncio.Task):
        return [waited]
    children = gathered_by(waited)
    if children is not None:
        return _gathered(children)
    group = _group(task, waited)
    return (
        group if not any(member.done() for member in group) else None
    )  # the group is to be told, and may end the wait


def _gathered(children: "list[asyncio.Task[Any]]") -> "list[asyncio.Task[Any]] | None":
    """Return the tasks of a `gather` that go on; None if the gather has still to hear of one that has ended."""
    undone = [child for child in children if not child.done()]
    for callback in callbacks_of(undone[0]) if undone else ():
        number = heard_of(callback)
        if number is not None:
            return undone if number == len(children) - len(undone) else None
    return []


def _group(task: "asyncio.Task[Any]", waited: "asyncio.Future[Any]") -> "list[asyncio.Task[Any]]":
    """The tasks of the group whose end `waited` is, if the innermost coroutine of `task` is the end of one."""
    innermost = None
    lane = getattr(task, "lane", None)
    for coroutine in suspended(lane.turns if lane is not None else task.get_coro()):
        innermost = coroutine
    frame = getattr(innermost, "cr_frame", None)
    return [] if frame is None else sorted(group_that_ends(frame, waited), key=_order)


def tasks_in_scope(scopes: Container[Any]) -> list[tuple[Any, Any]]:
    """Return the tasks that code of these scopes has started and that go on, each with its scope, the oldest first.

    This is expensive: it looks at every task of the loop.
    """
    pairs = []
    for task in asyncio.all_tasks():
        scope = context_of(task).get(current_scope)
        if scope is not None and scope in scopes:
            pairs.append((task, scope))
    return sorted(pairs, key=lambda pair: _order(pair[0]))


def _order(task: "asyncio.Task[Any]") -> tuple[int, str]:
    """A place for a task that came out of a set."""
    name = task.get_name()
    return len(name), name
