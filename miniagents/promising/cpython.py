"""The private parts of CPython's asyncio, and of anyio, that the runtime reads: here, and nowhere else.

There is no public way to ask for any of this. Each function says what it reads, and `tests/promising/test_cpython.py`
tries each of them on the Python that runs the tests, so that a version that changed something is noticed at once. Where
a private part is missing, a function answers as if it knew nothing; the detection of deadlocks is made for that.
"""

# ruff: noqa: SLF001 - to reach into asyncio is what this module is for

import asyncio
import gc
import sys
from asyncio.tasks import _unregister_task
from collections.abc import Iterable, Iterator
from contextvars import Context
from types import FrameType
from typing import Any

__all__ = [
    "FUT_WAITER",
    "callbacks_of",
    "context_of",
    "current_tasks",
    "forget_task",
    "gathered_by",
    "group_that_ends",
    "has_default_executor",
    "heard_of",
    "is_known_to_anyio",
    "parent_of",
]

FUT_WAITER = "_fut_waiter"
"""The attribute of a task that has the future it waits for, None while it runs or is about to. A name, and no function:
the detection of deadlocks reads it for every wait."""

if sys.version_info < (3, 14):
    from asyncio.tasks import _current_tasks as current_tasks  # type: ignore[attr-defined]
else:

    class _CurrentTasks:
        """The same, where each thread keeps its current task to itself."""

        get = staticmethod(asyncio.current_task)

        def __setitem__(self, loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Any]") -> None:
            asyncio.tasks._swap_current_task(loop, task)

    current_tasks = _CurrentTasks()
"""The current task of each event loop: `asyncio.current_task` reads it, `_enter_task` and `_leave_task` set it. Without
these functions it is several times cheaper (benchmark `ask`)."""

_ANYIO = "anyio._backends._asyncio"

_ENDS_OF_GROUPS = {
    method.__code__
    for name in ("__aexit__", "_aexit")  # the latter since Python 3.13
    if (method := getattr(asyncio.TaskGroup, name, None)) is not None
}


def callbacks_of(future: "asyncio.Future[Any]") -> Iterator[Any]:
    """Return the functions that are called when a future is done (`Future._callbacks`)."""
    return (callback for callback, _ in getattr(future, "_callbacks", None) or ())


def gathered_by(future: "asyncio.Future[Any]") -> "list[asyncio.Task[Any]] | None":
    """Return what a future of `asyncio.gather` waits for (`_GatheringFuture._children`); None for any other future."""
    children: Iterable[Any] | None = getattr(future, "_children", None)
    return None if children is None else list(dict.fromkeys(children))


def heard_of(callback: object) -> int | None:
    """Return how many of its tasks a `gather` has heard of that have ended (`nfinished`, a variable of its callback);
    None for any other callback."""
    names = getattr(getattr(callback, "__code__", None), "co_freevars", ())
    if "nfinished" not in names:
        return None
    number: int = callback.__closure__[names.index("nfinished")].cell_contents  # type: ignore[attr-defined]
    return number


def parent_of(group: asyncio.TaskGroup) -> "asyncio.Task[Any]":
    """Return the task that opened a group (`TaskGroup._parent_task`)."""
    return group._parent_task  # type: ignore[attr-defined,no-any-return]


def group_that_ends(frame: FrameType, waited: "asyncio.Future[Any]") -> "Iterable[asyncio.Task[Any]]":
    """Return the tasks of the group whose end a task waits for (`TaskGroup._tasks`), in any order.

    Args:
        frame: The innermost frame of the task.
        waited: The future that the task waits for: of a group `TaskGroup._on_completed_fut`.

    Returns:
        The tasks; nothing if the frame is not that of the end of a group.
    """
    if frame.f_code not in _ENDS_OF_GROUPS:
        return ()
    group: Any = frame.f_locals["self"]
    return tuple(group._tasks) if group._on_completed_fut is waited else ()


def context_of(task: "asyncio.Task[Any]") -> Context:
    """Return the context of a task. Before Python 3.12 a task does not tell it; the context is the first one that the
    task refers to."""
    get_context = getattr(task, "get_context", None)
    if get_context is not None:
        context: Context = get_context()
        return context
    return next((one for one in gc.get_referents(task) if isinstance(one, Context)), Context())


def forget_task(task: "asyncio.Task[Any]") -> None:
    """Take a task out of those that `asyncio.run` cancels and waits for, and let its end be no warning
    (`Task._log_destroy_pending`)."""
    # What asyncio documents under "Extending", for implementations of tasks.
    _unregister_task(task)
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def is_known_to_anyio(task: "asyncio.Task[Any]") -> bool:
    """Return True if anyio keeps a state for a task, and so a weak reference to it (`_task_states`)."""
    return _ANYIO in sys.modules and task in sys.modules[_ANYIO]._task_states


def has_default_executor(loop: asyncio.AbstractEventLoop) -> bool:
    """Return True if an event loop has threads for `asyncio.to_thread` (`_default_executor`), or does not tell, as
    uvloop's."""
    return getattr(loop, "_default_executor", loop) is not None
