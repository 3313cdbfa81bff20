"""Abandoned tasks: they were told to end and do not, and the system must end without them."""

import asyncio
from typing import Any

from miniagents.log import log as _log
from miniagents.promising.cpython import forget_task

DEFAULT_GRACE = 5.0
"""Seconds that a task which swallows its cancellation gets, where no other grace is set."""

INSIST_EVERY = 1.0
"""Seconds until such a task is cancelled again."""


def abandon(task: "asyncio.Task[Any]") -> None:
    """Let the event loop end without a task: `asyncio.run` cancels all tasks that it knows of, and waits for them for
    as long as that takes."""
    forget_task(task)  # what is to be said of it has been logged


def log_abandoned(stack: str, **fields: object) -> None:
    """Log that the system ends without a task or actor, and where the code of that is."""
    _log.error("shutdown.abandoned", **fields, stack=stack)
