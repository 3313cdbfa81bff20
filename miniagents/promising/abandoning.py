"""Tasks that are abandoned: they were told to end and do not, and whoever waits for them must go on."""

import asyncio
from typing import Any

import structlog

from miniagents.promising.cpython import forget_task

_log = structlog.get_logger("miniagents")

DEFAULT_GRACE = 5.0
"""Seconds for what was told to end and swallows that, where nothing else is said."""

INSIST_EVERY = 1.0
"""Seconds until it is told again."""


def abandon(task: "asyncio.Task[Any]") -> None:
    """Let the event loop end without a task: `asyncio.run` cancels all tasks that it knows of, and waits for them for
    as long as that takes."""
    forget_task(task)  # what is to be said of it has been logged


def log_abandoned(stack: str, **what: object) -> None:
    """Say that the system ends without something, and where that is."""
    _log.error("shutdown.abandoned", **what, stack=stack)
