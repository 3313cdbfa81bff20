"""Checks of options. Each error names the option, the allowed values, and the value that was given."""

import math
from numbers import Real
from typing import Any

from miniagents.errors import InvalidOptionError


def check_seconds(what: str, value: object, *, above_zero: bool = False, finite: bool = False) -> None:
    """Check a duration.

    Args:
        what: The option: "Backoff(first=)".
        value: The value that was given.
        above_zero: Refuse 0.
        finite: Refuse infinity.

    Raises:
        InvalidOptionError: The value is no number, NaN, negative, or one of those that are refused.
    """
    # Written this way round it also refuses NaN.
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    fits: Any = is_number and (value > 0 if above_zero else value >= 0)  # type: ignore[operator]  # a number
    if not fits or (finite and value == math.inf):
        range_ = "more than 0 seconds" if above_zero else "0 seconds or more"
        total = getattr(value, "total_seconds", None)
        instead = "" if total is None else f"; write {total()!r}"
        raise InvalidOptionError(f"{what} must be {range_}{', and finite' * finite}, not {value!r}{instead}")


def check_count(what: str, value: object, least: int, *, or_none: bool = False) -> None:
    """Check a count.

    Args:
        what: The option: "pool(size=)".
        value: The value that was given.
        least: The smallest allowed count.
        or_none: Allow None.

    Raises:
        InvalidOptionError: The value is no int, or below `least`.
    """
    if value is None and or_none:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidOptionError(f"{what} must be {least} or more{', or None' * or_none}, not {value!r}")


def check_kind(what: str, value: object, kind: type, *, or_none: bool = False) -> None:
    """Check that an option is an instance of a class.

    Args:
        what: The option: "Supervisor(strategy=)".
        value: The value that was given.
        kind: The class.
        or_none: Allow None.

    Raises:
        InvalidOptionError: The value is no instance of the class.
    """
    if isinstance(value, kind) or (value is None and or_none):
        return
    instead = ""
    if isinstance(value, type) and issubclass(value, kind):
        instead = f"; that is the class: write {value.__name__}(...)"
    raise InvalidOptionError(
        f"{what} must be {_article(kind.__name__)} {kind.__name__}{' or None' * or_none}, not {value!r}{instead}"
    )


def check_function(what: str, value: object) -> None:
    """Check that an option can be called or is None.

    Raises:
        InvalidOptionError: The value is neither. An agent is called by `inquire` alone.
    """
    if value is not None and (not callable(value) or hasattr(value, "inquire")):
        raise InvalidOptionError(f"{what} must be a function or None, not {value!r}")


def check_exceptions(what: str, value: object) -> None:
    """Check that an option is an exception class or a tuple of them, as `except` and `isinstance` take them.

    Raises:
        InvalidOptionError: The value is neither. A list is none of them.
    """
    kinds = value if isinstance(value, tuple) else (value,)
    for kind in kinds:
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise InvalidOptionError(f"{what} must be a tuple of exception classes, not {value!r}")


def check_name(what: str, name: object) -> None:
    """Check a name in the tree.

    Raises:
        InvalidOptionError: The name is empty, has a slash, or is no string.
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise InvalidOptionError(f"{what} must be a string, not empty and without a slash, not {name!r}")


def _article(name: str) -> str:
    return "an" if name[0] in "AEIOU" else "a"
