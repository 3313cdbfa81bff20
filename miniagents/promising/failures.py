"""Failures in the log: each once, and none that anybody was told of."""

import asyncio
import logging
import sys
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import structlog

from miniagents.promising.tracebacks import traceback_text

_log = structlog.get_logger("miniagents")


def logger_for(level: int) -> Any:
    """The logger, or None where a level is off: the text of a traceback costs more than the crash that it is about.

    Args:
        level: `logging.ERROR`, or another of these.
    """
    least = _least_level(structlog.get_config()["wrapper_class"])
    if least is not None:
        return _log if level >= least else None
    logger = _log.bind()
    # Asked of its class, since a bound logger may hand on any other name to what it wraps.
    is_enabled = getattr(type(logger), "is_enabled_for", None)
    return logger if is_enabled is None or is_enabled(logger, level) else None


@lru_cache(maxsize=16)
def _least_level(wrapper: Any) -> int | None:
    """The level from which on loggers of a class log; None where that is for each of them to say."""
    try:
        return wrapper.get_effective_level(None)  # type: ignore[no-any-return]  # structlog's own know without a logger
    except AttributeError:
        return None


def log_failure(event: str, error: BaseException, *, again: bool = False, **fields: object) -> None:
    """Log a failure with its traceback, unless it has been logged already, wherever it came through.

    Args:
        event: What failed.
        error: With what.
        again: Log it all the same, since it is another failure that has the same error for its cause.
        **fields: Whose it is.
    """
    if getattr(error, "__miniagents_logged__", False) and not again:
        return
    mark_logged(error)
    log = logger_for(logging.ERROR)
    if log is not None:
        log.error(event, **fields, error=repr(error), stack=traceback_text(error))


def mark_logged(error: BaseException) -> None:
    """A failure is in the log: `log_failure` is not to log it again."""
    try:
        error.__miniagents_logged__ = True  # type: ignore[attr-defined]
    except AttributeError:
        pass  # it takes no attributes


def note_seen(error: BaseException) -> None:
    """Somebody was told of a failure: another promise that failed with it need not be logged."""
    try:
        error.__miniagents_seen__ = True  # type: ignore[attr-defined]
    except AttributeError:
        pass  # it takes no attributes


class Unseen:
    """The failure of a promise. It dies with the promise, and says so if nobody ever looked at the failure; at the end
    of its system it says so at the latest. A promise that resolves has none, and so costs nothing when it is thrown
    away.

    Attributes:
        error: The failure; None as soon as somebody has looked.
    """

    __slots__ = ("__weakref__", "error")

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:  # modules are gone at the end
        if self.error is not None and not is_finalizing():
            self.report()

    def report(self) -> None:
        """Log it, if nobody has looked."""
        error, self.error = self.error, None
        if error is not None and not getattr(error, "__miniagents_seen__", False):
            log_failure("promise.failed_unawaited", error)


SEEN = Unseen(None)
"""What a promise has that somebody looked at."""


class OwnedTask(asyncio.Task[Any]):
    """A task of a user's code that may be awaited or not: its failure is logged when it is thrown away and nobody has
    looked, or at the end of its system.

    Attributes:
        owner: The path of the actor that it belongs to.
    """

    owner: str | None = None

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:  # modules are gone at the end
        if not is_finalizing():
            self.report()
        super().__del__()

    @property
    def failed_unseen(self) -> bool:
        """Whether it has failed, and nobody has looked."""
        return self.done() and self._log_traceback  # asyncio's own mark

    def report(self) -> None:
        """Log its failure, if nobody has looked."""
        if self.failed_unseen:
            error = self.exception()
            assert error is not None  # asyncio's mark says so
            log_failure("task.failed_unawaited", error, actor=self.owner, task=self.get_name())


UnseenFailures = dict[weakref.ref[Any], None]
"""What has failed and lives, the oldest first: `Unseen`s and `OwnedTask`s."""


def note_unseen(those: UnseenFailures, failure: Any) -> None:
    """Add one. When it dies it takes itself out, without a call of Python code."""
    those[weakref.ref(failure, those.pop)] = None
