"""Modules of users that are named on the command line."""

import importlib
import os
import sys
import traceback
from itertools import dropwhile
from types import ModuleType

from miniagents.errors import InvalidOptionError

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def import_named(name: str) -> ModuleType:
    """Import a module. The working directory is looked in first, as `python -m` does.

    Args:
        name: The name of the module.

    Raises:
        InvalidOptionError: It cannot be imported; the text has file and line of what failed in it.
    """
    here = os.getcwd()  # an installed command has its own folder there instead
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if (
            isinstance(error, ModuleNotFoundError)
            and error.name is not None
            and f"{name}.".startswith(f"{error.name}.")
        ):
            raise InvalidOptionError(f"no module named {error.name!r}, neither installed nor in {here}") from error
        raise InvalidOptionError(f"importing {name!r} failed:\n{own_trace(error)}") from error


def own_trace(error: BaseException) -> str:
    """The traceback, from the user's code on."""
    frames = dropwhile(_is_not_own, traceback.extract_tb(error.__traceback__))
    return "".join([*traceback.format_list(list(frames)), *traceback.format_exception_only(error)]).rstrip()


def _is_not_own(frame: traceback.FrameSummary) -> bool:
    file = frame.filename
    return file.startswith(("<frozen importlib", _PACKAGE)) or file.endswith(os.path.join("importlib", "__init__.py"))
