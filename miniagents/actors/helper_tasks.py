"""Helper tasks: which tasks a handler waits for, and what those have started in its name.

The code of a handler may be more than one task (`gather`, a `TaskGroup`). What such a task starts is cancelled with the
ask that the handler handles, if the handler waits for the task; one that was left to itself is no part of it.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

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
        """Whether it is part of what this handler does, or was until it was cancelled."""
        return self._task.cancelled() or (handler is not None and waits_for(handler, self._task))

    def _is_over(self) -> bool:
        """See `Cancellable`."""
        return self.what._is_over()


def waits_for(handler: "asyncio.Task[Any]", helper: "asyncio.Task[Any]") -> bool:
    """Whether a task waits for another one: through `await`, `gather`, a `TaskGroup`, `asyncio.wait` or `wait_for`, and
    through tasks that do so in turn. Where that cannot be seen it does not."""
    above: list[Any] = [helper]
    seen = {id(helper)}
    for task in above:  # from the helper up: a task knows whom its end is told
        if task is handler:
            return True
        for one in _told_by(task):
            if id(one) not in seen:
                seen.add(id(one))
                above.append(one)
    return False


def _told_by(future: Any) -> Iterable[Any]:
    """The tasks and futures that the end of this one is told, save for a `shield`."""
    for callback, _ in getattr(future, "_callbacks", None) or ():
        owner = getattr(callback, "__self__", None)  # a task that awaits it, or a group that it is part of
        if isinstance(owner, asyncio.TaskGroup):
            yield owner._parent_task  # type: ignore[attr-defined]
        elif isinstance(owner, asyncio.Future):
            yield owner
        elif not getattr(callback, "__qualname__", "").startswith("shield."):
            held = [cell.cell_contents for cell in getattr(callback, "__closure__", None) or ()]
            held += getattr(callback, "args", ())
            yield from (one for one in held if isinstance(one, asyncio.Future) and one is not future)
