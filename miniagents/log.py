"""The logger of the package. structlog is loaded with its first line: most of what structlog loads is its console."""

import gc
import os
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

    Until the application configures structlog, the lines go to standard error, with colours if that is a terminal.
    Then they go where its configuration says.

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
        self._stderr: Any = None
        self._printer: Any = None
        self._print_processors: Any = None

    @cached_property
    def _structlog(self) -> ModuleType:
        return _structlog()

    @cached_property
    def _processors(self) -> "_Processors":
        return _Processors(self._structlog.get_config)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # tools that look at an object ask for these: `inspect`, `copy`
            raise AttributeError(name)
        structlog = self._structlog
        # The logger of structlog as it is configured now. Its own proxy makes the same, and looks nowhere else.
        configuration = structlog.get_config()
        if structlog.is_configured():
            sink, processors = configuration["logger_factory"](self._name), self._processors
        else:
            if self._printer is None or self._stderr is not sys.stderr:
                self._print_to(sys.stderr)
            sink, processors = self._printer, self._print_processors
        bound = configuration["wrapper_class"](sink, processors=processors, context=configuration["context_class"]())
        return getattr(bound, name)

    def _print_to(self, stderr: Any) -> None:
        """Have the lines printed to a file, as long as the application does not configure structlog."""
        structlog = self._structlog
        self._stderr, self._printer = stderr, structlog.PrintLogger(stderr)
        self._print_processors = _Processors(structlog.get_config, _console(structlog, stderr))


class _Processors:
    """The processors of structlog as it is configured when a line is logged, after one of our own: names and texts of
    agents may have control characters, and a line may go to a terminal.

    Args:
        configuration: The configuration of structlog.
        console: What renders a line instead of the renderer of structlog's defaults, whose colours are chosen for
            standard output; None for the renderer that is configured.
    """

    def __init__(self, configuration: Callable[[], dict[str, Any]], console: Any = None) -> None:
        self._configuration = configuration
        self._console = console

    def __iter__(self) -> Iterator[Any]:
        processors = self._configuration()["processors"]
        if self._console is not None and processors and isinstance(processors[-1], type(self._console)):
            processors = (*processors[:-1], self._console)
        return iter((_write_out, *processors))


def _console(structlog: Any, file: Any) -> Any:
    """Return the renderer of lines for a file, with colours if it is a terminal and NO_COLOR is not set.

    Tracebacks have no values of variables, as those of rich would: there may be secrets among them.
    """
    is_terminal = bool(getattr(file, "isatty", bool)())
    is_coloured = is_terminal and not os.environ.get("NO_COLOR") and os.name != "nt"  # there it needs colorama
    return structlog.dev.ConsoleRenderer(colors=is_coloured, exception_formatter=structlog.dev.plain_traceback)


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
    structlog: Any = sys.modules.get("structlog")
    is_loaded = hasattr(structlog, "is_configured")  # another thread may be importing it
    return is_loaded and bool(structlog.is_configured())


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
