"""The garbage collector of a process that serves: full collections are rare."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from miniagents.errors import InvalidOptionError

Collecting: TypeAlias = Literal["service"]
"""A setting of the garbage collector: "service" for a process that serves."""

_THIRD = 1000
"""The third threshold: a full collection comes after so many of the middle generation, at the earliest."""

_HAS_GENERATIONS = sys.version_info < (3, 14)
"""Whether the third threshold does what it says. From 3.14 on the collector is another one, and is left alone."""

_users = 0
_before: tuple[int, int, int] | None = None


def check_collecting(setting: object) -> None:
    """Check a setting.

    Raises:
        InvalidOptionError: There is no such setting.
    """
    if setting not in (None, "service"):
        raise InvalidOptionError(f"gc= must be 'service' or None, not {setting!r}")


@contextmanager
def collecting(setting: Collecting | None) -> Iterator[None]:
    """Let the collector of this process work as `setting` says inside `with`, and as before afterwards.

    "service" raises the third threshold to 1000, from 10 as a rule, and leaves the first two as they are. Calls and
    streams leave no reference cycles, so that a full collection finds next to nothing, but it looks at every object of
    the process, and all clients wait for it. On Python 3.14 and later nothing is changed.

    Several may be inside at once: the last of them to leave restores what was before, unless somebody has set other
    thresholds since.

    Args:
        setting: The setting; None to leave the collector alone.

    Raises:
        InvalidOptionError: There is no such setting.
    """
    global _users, _before
    check_collecting(setting)
    if setting is None or not _HAS_GENERATIONS:
        yield
        return
    _users += 1
    if _users == 1:
        _before = gc.get_threshold()
        gc.set_threshold(*_for_a_service(_before))
    try:
        yield
    finally:
        _users -= 1
        if not _users and _before is not None:
            if gc.get_threshold() == _for_a_service(_before):
                gc.set_threshold(*_before)
            _before = None


def _for_a_service(thresholds: tuple[int, int, int]) -> tuple[int, int, int]:
    first, second, third = thresholds
    return first, second, max(third, _THIRD)
