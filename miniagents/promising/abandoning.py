"""Abandoned tasks: they were told to end and do not, and the system must end without them."""

import asyncio
from asyncio.tasks import _unregister_task
from typing import Any

import structlog

_log = structlog.get_logger("miniagents")

DEFAULT_GRACE = 5.0
"""Seconds that a task which swallows its cancellation gets, where no other grace is set."""

INSIST_EVERY = 1.0
"""Seconds until such a task is cancelled again."""


def abandon(task: "asyncio.Task[Any]") -> None:
    """Let the event loop end without a task: `asyncio.run` cancels all tasks that it knows of and waits for them for as
    long as that takes."""
    # What asyncio documents under "Extending", for implementations of tasks.
    _unregister_task(task)
    # Asyncio need not warn of the task: `log_abandoned` has logged it. There is no public way to say so.
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001


def log_abandoned(stack: str, **fields: object) -> None:
    """Log that the system ends without a task or actor, and where the code of that is."""
    _log.error("shutdown.abandoned", **fields, stack=stack)
