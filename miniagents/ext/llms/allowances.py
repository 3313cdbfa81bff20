"""`Allowance`: what budgets and rate limits have in common: reservations, a share of its own for each caller, and a
name under which all nodes of a cluster have it together."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, Self, TypeVar
from weakref import WeakValueDictionary

from miniagents.actors.observing.caller import current_caller
from miniagents.errors import InvalidOptionError
from miniagents.supervision.checking import check_name

Used = TypeVar("Used")

_by_name: "WeakValueDictionary[tuple[type[Any], str], Any]" = WeakValueDictionary()
"""The allowance of this process for each kind and shared name, the newest one."""

_MAX_CALLERS = 10_000
"""The number of callers at which those with an unused share are dropped, before a share is made for another one."""


class Reservation(Generic[Used]):
    """An amount that is set aside for one request, until the request ends and the reservation is settled.

    Args:
        settle: Is called once, with what the request used (None for nothing).
    """

    __slots__ = ("_settle",)

    def __init__(self, settle: Callable[[Used | None], None]) -> None:
        self._settle: Callable[[Used | None], None] | None = settle

    def settle(self, used: Used | None) -> None:
        """End the reservation; a second call does nothing.

        Args:
            used: What the request used; None if it was not sent, or used nothing.
        """
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(used)


class Allowance:
    """An amount or a rate that any number of agents share, from several event loops and threads.

    Args:
        per: "caller" for a share of its own for each `Caller`; None for one that all share.
        new_share: Makes the share of one caller.
        shared: The name under which the nodes of a cluster have it together; None for one on each node.

    Raises:
        InvalidOptionError: `per` is something else, or `shared` is no name.
    """

    __miniagents_immutable__ = True  # forks of an agent share it

    def __init__(self, per: Literal["caller"] | None, new_share: Callable[[], Self], shared: str | None = None) -> None:
        if per not in (None, "caller"):
            raise InvalidOptionError(f'{type(self).__name__}(per=) is "caller" or None, not {per!r}')
        self.per = per
        self.shared = shared
        if shared is not None:
            check_name(f"{type(self).__name__}(shared=)", shared)
            _by_name[type(self), shared] = self
        self._new_share = new_share
        # Reentrant: the garbage collector closes a coroutine in the middle of anything, and that settles.
        self._lock = threading.RLock()
        self._shares: dict[str | None, Self] = {}

    @property
    def is_unused(self) -> bool:
        """True if the share is as it was when it was made."""
        raise NotImplementedError

    @property
    def terms(self) -> Mapping[str, Any]:
        """The arguments that an equal allowance is made with, apart from its shared name. They can travel."""
        raise NotImplementedError

    @classmethod
    def named(cls, shared: str, terms: Mapping[str, Any]) -> Self:
        """Return the allowance of a shared name in this process, or a new one.

        Args:
            shared: The name.
            terms: What a new one is made with.
        """
        allowance = _by_name.get((cls, shared))
        return allowance if allowance is not None else cls(**terms, shared=shared)

    def of(self, caller: str | None) -> Self:
        """Return the share of one caller; without `per=`, the allowance itself.

        Args:
            caller: The name of the caller; None for calls without one, which have a share together.
        """
        if self.per is None:
            return self
        with self._lock:
            share = self._shares.get(caller)
            if share is None:
                if len(self._shares) >= _MAX_CALLERS:
                    self._drop_unused_shares()
                share = self._shares[caller] = self._new_share()
            return share

    def of_current_caller(self) -> Self:
        """Return the share of the caller for whom the running code works."""
        caller = current_caller.get()
        return self.of(caller.name if caller is not None else None)

    def shares(self) -> tuple[Self, ...]:
        """Return the shares of all callers."""
        with self._lock:
            return tuple(self._shares.values())

    def shares_by_caller(self) -> "dict[str | None, Self]":
        """Return the shares by the names of their callers; None for calls without one."""
        with self._lock:
            return dict(self._shares)

    def _drop_unused_shares(self) -> None:
        for caller, share in tuple(self._shares.items()):
            if share.is_unused:
                del self._shares[caller]
