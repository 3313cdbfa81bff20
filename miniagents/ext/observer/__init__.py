"""The observer of a running system: a page in the browser, with a recorder of what went on before it was opened.

Importing this package loads no optional library; `WebObserver` needs the extra `observe`.
"""

from typing import TYPE_CHECKING, Any

from miniagents.errors import MissingDependencyError

if TYPE_CHECKING:
    from miniagents.ext.observer.web_observer import WebObserver

__all__ = ["WebObserver"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name != "WebObserver":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            from miniagents.ext.observer.web_observer import WebObserver
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"the observer needs {error.name}: pip install 'miniagents[observe]'"
            ) from error
        return WebObserver
