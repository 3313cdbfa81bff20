"""What each caller has of its own: a budget, or a rate."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from miniagents.actors.observing.caller import current_caller
from miniagents.errors import InvalidOptionError

T = TypeVar("T")

_MANY = 10_000
"""Callers that are remembered before those that are as they began are forgotten."""


def check_per(per: object, what: str) -> None:
    """Check an option `per=`.

    Raises:
        InvalidOptionError: It is neither "caller" nor None.
    """
    if per not in (None, "caller"):
        raise InvalidOptionError(f'{what}(per=) is "caller" or None, not {per!r}')


class PerCaller(Generic[T]):
    """One thing for each caller, made when it is first needed. It may be used from several threads.

    Args:
        make: Makes one.
        is_as_it_began: Whether one is as it was made, and need not be remembered.
    """

    def __init__(self, make: Callable[[], T], is_as_it_began: Callable[[T], bool]) -> None:
        self._make = make
        self._is_as_it_began = is_as_it_began
        self._lock = threading.RLock()  # a coroutine that is collected may come here wherever Python is
        self._found: dict[str | None, T] = {}

    def of(self, caller: str | None) -> T:
        """That of one caller, by name; None for those that nobody is known for."""
        with self._lock:
            found = self._found.get(caller)
            if found is None:
                if len(self._found) >= _MANY:
                    self._forget_those_as_they_began()
                found = self._found[caller] = self._make()
            return found

    def of_current(self) -> T:
        """That of whoever the code which runs now works for."""
        caller = current_caller.get()
        return self.of(caller.name if caller is not None else None)

    def all(self) -> tuple[T, ...]:
        """All that are remembered."""
        with self._lock:
            return tuple(self._found.values())

    def _forget_those_as_they_began(self) -> None:
        for caller, one in tuple(self._found.items()):
            if self._is_as_it_began(one):
                del self._found[caller]
