"""Importing modules of the user that are named on the command line."""

import importlib
import os
import sys
import traceback
from itertools import dropwhile
from types import ModuleType
from typing import Any

from miniagents.errors import InvalidOptionError

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def import_named(name: str) -> ModuleType:
    """Import a module, from the working directory first, as `python -m` does.

    Args:
        name: The name of the module.

    Returns:
        The module.

    Raises:
        InvalidOptionError: The import failed; the text has the file and the line of the failure.

    Example:
        >>> import_named("json").__name__
        'json'
    """
    working_directory = os.getcwd()  # for an installed command, sys.path begins with the folder of the command instead
    if working_directory not in sys.path:
        sys.path.insert(0, working_directory)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if (
            isinstance(error, ModuleNotFoundError)
            and error.name is not None
            and f"{name}.".startswith(f"{error.name}.")
        ):
            raise InvalidOptionError(
                f"no module named {error.name!r}, neither installed nor in {working_directory}"
            ) from error
        raise InvalidOptionError(f"importing {name!r} failed:\n{own_trace(error)}") from error


def import_target(where: str) -> Any:
    """Import the object that is named as `module:name` or `module:namespace.name`.

    Args:
        where: The name.

    Raises:
        InvalidOptionError: The name has another form, the import failed, or there is no such object.

    Example:
        >>> import_target("json:JSONDecoder.decode").__name__
        'decode'
    """
    module, _, name = where.partition(":")
    if not module or not name:
        raise InvalidOptionError("name the app as module:name")
    target: Any = import_named(module)
    for part in name.split("."):
        try:
            target = getattr(target, part)
        except AttributeError as error:
            raise InvalidOptionError(str(error)) from error
    return target


def own_trace(error: BaseException) -> str:
    """Return the traceback of an error as text, beginning with the code of the user."""
    frames = dropwhile(_is_not_users, traceback.extract_tb(error.__traceback__))
    return "".join([*traceback.format_list(list(frames)), *traceback.format_exception_only(error)]).rstrip()


def _is_not_users(frame: traceback.FrameSummary) -> bool:
    file = frame.filename
    return file.startswith(("<frozen importlib", _PACKAGE)) or file.endswith(os.path.join("importlib", "__init__.py"))
