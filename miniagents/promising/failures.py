"""Failures in the log: each is logged once, and only if no awaiter has received it."""

import asyncio
import logging
import sys
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from miniagents.log import log as _log
from miniagents.log import wrapper_class
from miniagents.promising.tracebacks import traceback_text

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def logger_for(level: int) -> "FilteringBoundLogger | None":
    """Return the logger, or None if the level is off: to format a traceback costs more than the crash itself.

    Args:
        level: A level of `logging`: `logging.ERROR`.
    """
    lowest = _lowest_level(wrapper_class())
    if lowest is not None:
        return _log if level >= lowest else None
    logger: FilteringBoundLogger = _log.bind()
    # Asked of its class, since a bound logger may hand on any other name to what it wraps.
    is_enabled = getattr(type(logger), "is_enabled_for", None)
    return logger if is_enabled is None or is_enabled(logger, level) else None


@lru_cache(maxsize=16)
def _lowest_level(wrapper: Any) -> int | None:
    """Return the lowest level that loggers of a class log; None if that differs from logger to logger."""
    try:
        return wrapper.get_effective_level(None)  # type: ignore[no-any-return]  # structlog's own know without a logger
    except AttributeError:
        return None


def log_failure(event: str, error: BaseException, *, again: bool = False, **fields: object) -> None:
    """Log a failure with its traceback, unless the same error has been logged before.

    Args:
        event: The name of the event: "actor.crashed".
        error: The error.
        again: Log the error even if it has been logged, since this is another failure with the same cause.
        **fields: The fields of the event, such as the path of the actor.
    """
    if getattr(error, "__miniagents_logged__", False) and not again:
        return
    mark_logged(error)
    log = logger_for(logging.ERROR)
    if log is not None:
        log.error(event, **fields, error=repr(error), stack=traceback_text(error))


def log_failed(event: str, future: "asyncio.Future[Any]", **fields: Any) -> None:
    """Log the failure of a future for which nobody waits, if it has failed.

    Args:
        event: The name of the event: "timer.not_written".
        future: The future, which is done.
        **fields: The fields of the event, such as the path of the actor.
    """
    if not future.cancelled() and (error := future.exception()) is not None:
        log_failure(event, error, **fields)


def mark_logged(error: BaseException) -> None:
    """Mark an error as logged, so that `log_failure` does not log it again."""
    try:
        error.__miniagents_logged__ = True  # type: ignore[attr-defined]
    except AttributeError:
        pass  # the error takes no attributes


def note_seen(error: BaseException) -> None:
    """Mark an error as received: another promise that failed with it need not be logged."""
    try:
        error.__miniagents_seen__ = True  # type: ignore[attr-defined]
    except AttributeError:
        pass  # the error takes no attributes


class Unseen:
    """The failure of a promise, as long as no code has received it.

    It is garbage-collected with the promise, and logs the failure then, or at the end of the system. A promise that
    resolves has none, and so costs nothing when it is thrown away.

    Attributes:
        error: The failure; None as soon as code has received it.
    """

    __slots__ = ("__weakref__", "error")

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:  # modules are gone at the end
        if self.error is not None and not is_finalizing():
            self.report()

    def report(self) -> None:
        """Log the failure, if no code has received it."""
        error, self.error = self.error, None
        if error is not None and not getattr(error, "__miniagents_seen__", False):
            log_failure("promise.failed_unawaited", error)


SEEN = Unseen(None)
"""In the place of the `Unseen` of a promise whose outcome has been received."""


class OwnedTask(asyncio.Task[Any]):
    """A task of a user's code, awaited or not. A failure that no code has received is logged when the task is thrown
    away, or at the end of the system.

    Attributes:
        owner: The path of the actor that the task belongs to.
    """

    owner: str | None = None

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:  # modules are gone at the end
        if not is_finalizing():
            self.report()
        super().__del__()

    @property
    def failed_unseen(self) -> bool:
        """Whether the task has failed and no code has received the failure."""
        return self.done() and self._log_traceback  # asyncio's own mark

    def report(self) -> None:
        """Log the failure of the task, if no code has received it."""
        if self.failed_unseen:
            error = self.exception()
            assert error is not None  # asyncio's mark says so
            log_failure("task.failed_unawaited", error, actor=self.owner, task=self.get_name())


UnseenFailures = dict[weakref.ref[Any], None]
"""The failures that no code has received yet, the oldest first: `Unseen`s and `OwnedTask`s."""


def note_unseen(failures: UnseenFailures, failure: Unseen | OwnedTask) -> None:
    """Add a failure. When it is garbage-collected it is removed, without a call of Python code."""
    failures[weakref.ref(failure, failures.pop)] = None
