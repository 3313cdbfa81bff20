"""The SIGTERM of a process that Ray runs: the node leaves in order, in the place of ending at once."""

import importlib
from collections.abc import Callable
from typing import Any

_EXIT = "raise_sys_exit_with_custom_error_message"
"""The name by which Ray's own handler of SIGTERM ends the process."""


def leave_on_sigterm(leave: Callable[[], None]) -> None:
    """Call a function on the first SIGTERM of this process; a second one ends the process, as Ray has it.

    Ray runs a node in another thread than the main one, and only that one may set handlers. So Ray's handler stays, and
    what it calls is replaced. With a Ray whose handler does something else, a SIGTERM ends the process at once.

    Args:
        leave: The function, which is called in the main thread.
    """
    worker: Any = importlib.import_module("ray._private.worker")
    end = getattr(worker, _EXIT, None)
    if end is None:
        return
    has_come = False

    def first_time(message: str, **options: Any) -> None:
        nonlocal has_come
        if has_come or "SIGTERM" not in message:
            end(message, **options)
        has_come = True
        leave()

    setattr(worker, _EXIT, first_time)
