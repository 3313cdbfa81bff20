"""The observer of a running system: a page in the browser, with a recorder of what went on before it was opened.

Importing this package loads no optional library; `WebObserver` and `replay` need the extra `observe`.
"""

from typing import TYPE_CHECKING, Any

from miniagents.errors import MissingDependencyError

if TYPE_CHECKING:
    from miniagents.ext.observer.replay_app import replay
    from miniagents.ext.observer.web_observer import WebObserver

__all__ = ["WebObserver", "replay"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            from miniagents.ext.observer import replay_app, web_observer
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"the observer needs {error.name}: pip install 'miniagents[observe]'"
            ) from error
        return web_observer.WebObserver if name == "WebObserver" else replay_app.replay
