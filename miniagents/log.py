"""The logger of the package. structlog is loaded with its first line: most of what structlog loads is its console."""

import gc
import re
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from types import ModuleType
from typing import Any

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters of terminals, and those that change the direction of text."""


def written_out(text: str) -> str:
    """Return a text in which control characters are written out, so that a terminal does not obey them.

    Args:
        text: The text. Its line feeds stay.

    Example:
        >>> print(written_out("\x1b[31mred"))
        \\x1b[31mred
    """
    return _CONTROLS.sub(lambda match: repr(match[0])[1:-1], text)


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
        structlog = _structlog()
        processors = _Processors(structlog.get_config)
        return structlog.wrap_logger(None, processors=processors, logger_factory_args=(self._name,))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # tools that look at an object ask for these: `inspect`, `copy`
            raise AttributeError(name)
        logger = self._logger
        # `bind` makes the logger of structlog as it is configured now. The proxy would do that with one call more.
        return logger.bind if name == "bind" else getattr(logger.bind(), name)


class _Processors:
    """The processors of structlog as it is configured when a line is logged, after one of our own: names and texts of
    agents may have control characters, and a line may go to a terminal."""

    def __init__(self, configuration: Callable[[], dict[str, Any]]) -> None:
        self._configuration = configuration

    def __iter__(self) -> Iterator[Any]:
        return iter((_write_out, *self._configuration()["processors"]))


def _write_out(logger: object, method: str, fields: dict[str, Any]) -> dict[str, Any]:
    for name, value in fields.items():
        if isinstance(value, str) and _CONTROLS.search(value):
            fields[name] = written_out(value)
    return fields


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
