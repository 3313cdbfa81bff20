"""Tasks that are abandoned: they were told to end and do not, and whoever waits for them must go on."""

import asyncio
import gc
import inspect
from asyncio.tasks import _unregister_task
from typing import Any

import structlog

_log = structlog.get_logger("miniagents")

DEFAULT_GRACE = 5.0
"""Seconds for what was told to end and swallows that, where nothing else is said."""

INSIST_EVERY = 1.0
"""Seconds until it is told again."""


def abandon(task: "asyncio.Task[Any]") -> None:
    """Let the event loop end without a task: `asyncio.run` cancels all tasks that it knows of, and waits for them for
    as long as that takes."""
    # What asyncio documents under "Extending", for implementations of tasks.
    _unregister_task(task)
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # what is to be said of it has been logged


def log_abandoned(stack: str, **what: object) -> None:
    """Say that the system ends without something, and where that is."""
    _log.error("abandoned at the end of the system: it swallows its cancellation", **what, stack=stack)


def stack_of(coro: Any) -> str:
    """Where a coroutine is now, the outermost line first, as text; "" if it has not begun or has ended.

    `Task.get_stack` sees the outermost coroutine of a suspended task alone.
    """
    lines = []
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None) or getattr(coro, "ag_frame", None)
        if frame is None:
            break
        lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}")
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None) or getattr(coro, "ag_await", None)
        if type(coro).__name__.startswith("async_generator_"):  # the step of an async generator does not tell whose
            coro = next((one for one in gc.get_referents(coro) if inspect.isasyncgen(one)), None)
    return "\n".join(lines)
