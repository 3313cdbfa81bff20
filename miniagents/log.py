"""The logger of the package. structlog is loaded with its first line: most of what structlog loads is its console."""

import gc
import sys
from functools import cached_property
from types import ModuleType
from typing import Any


class LazyLogger:
    """A structlog logger that is made when the first of its methods is looked up.

    Args:
        name: The name of the logger.

    Example:
        >>> from structlog.testing import capture_logs
        >>> logger = LazyLogger("shop")
        >>> with capture_logs() as lines:
        ...     logger.bind(order=7).warning("order.late")
        >>> lines
        [{'order': 7, 'event': 'order.late', 'log_level': 'warning'}]
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _logger(self) -> Any:
        return _structlog().get_logger(self._name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # tools that look at an object ask for these: `inspect`, `copy`
            raise AttributeError(name)
        return getattr(self._logger, name)


log: Any = LazyLogger("miniagents")
"""The logger of all modules of the package."""


def wrapper_class() -> Any:
    """Return the class of the loggers that structlog makes as it is configured now."""
    return _structlog().get_config()["wrapper_class"]


def is_configured() -> bool:
    """Return whether the application has configured structlog. structlog is not loaded for that."""
    return "structlog" in sys.modules and _structlog().is_configured()


def _structlog() -> ModuleType:
    """Return structlog, loaded now if it was not before."""
    collects = "structlog" not in sys.modules and gc.isenabled()
    if collects:
        gc.disable()  # a failure that is collected meanwhile is logged: in its `__del__` structlog would be half loaded
    try:
        import structlog
    finally:
        if collects:
            gc.enable()
    return structlog
