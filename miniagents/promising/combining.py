"""Combining: what the promises that wait for several others have in common."""

import weakref
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from miniagents.promising.promise import NO_VALUE, Promise
from miniagents.promising.waits import Combined


class Link:
    """The callback by which promises tell a combined one that they have settled.

    The link does not keep the combined promise alive, and is removed with it. So a reader that leaves early leaves
    nothing at promises that live long.

    Args:
        owner: The combined promise. Its `member_settled` is called with the promises.
        tells_each: Call that for every promise; otherwise only for failures and for the last one.

    Attributes:
        keeps: The combined promise, if it is to live until it settles although no code has it.
        missing: How many promises have not settled.
    """

    __slots__ = ("_owner", "_tells_each", "keeps", "missing")

    def __init__(self, owner: Any, *, tells_each: bool = False) -> None:
        self._owner = weakref.ref(owner)
        self._tells_each = tells_each
        self.keeps: Any = None
        self.missing = 0

    def __call__(self, member: Promise[Any]) -> None:
        """Note that a promise has settled."""
        self.missing -= 1
        if not self.missing or self._tells_each or member.settled_error is not None:
            owner = self._owner()
            if owner is not None:
                owner.member_settled(member)

    def add_to(self, members: Iterable[Promise[Any]]) -> None:
        """Be called by those that have not settled."""
        for member in members:
            # `add_done_callback`, written out (benchmark `gather`).
            if member.settled_value is NO_VALUE and member.settled_error is None:
                self.missing += 1
                if member.callbacks is None:
                    member.callbacks = [self]
                else:
                    member.callbacks.append(self)

    def remove_from(self, members: Iterable[Promise[Any]]) -> None:
        """Be called no more, and keep nothing alive."""
        self.keeps = None
        if self.missing:
            for member in members:
                member.remove_done_callback(self)


class Linked(Combined):
    """What the promises of several others do alike. The class that mixes this in has the slots."""

    __slots__ = ()

    _link: Link | None
    _members: tuple[Promise[Any], ...]

    def run_ready(self) -> bool:
        """See `Promise.run_ready`."""
        member = next((member for member in self._members if not member.done()), None)
        return member is not None and member.run_ready()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """See `Promise.add_done_callback`. From now on the promise lives until it settles."""
        if not self.done() and self._link is not None:  # type: ignore[attr-defined]
            self._link.keeps = self
        super().add_done_callback(callback)  # type: ignore[misc]

    def pending(self) -> list[tuple[Promise[Any], None]]:
        """Return the promises that have not settled, as the deadlock detection names them."""
        return [(member, None) for member in self._members if not member.done()]

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.remove_from(self._members)

    __del__ = _disconnect


def as_promises(
    name: str, awaitables: tuple[Awaitable[Any], ...]
) -> "tuple[tuple[Promise[Any], ...], list[Promise[Any]]]":
    """Return the promises of several awaitables, begun as an await would begin them.

    Args:
        name: The function whose arguments these are, for the error.
        awaitables: Promises are returned as they are. Others are run in a task each, once.

    Returns:
        The promises, and those of them that were made here.

    Raises:
        TypeError: One of them cannot be awaited.
        NoActiveSystemError: One of them is no promise, and no system is active to run it.
    """
    kinds = set(map(type, awaitables))  # there may be thousands of promises, of one kind or two (benchmark `gather`)
    for kind in kinds:
        if not hasattr(kind, "__await__"):
            is_many = hasattr(kind, "__iter__") or hasattr(kind, "__aiter__")
            instead = f": write {name}(*promises)" if is_many else ""
            raise TypeError(f"{name}() waits for promises, not for a {kind.__name__}{instead}")
    made: dict[int, Promise[Any]] = {}
    if not all(issubclass(kind, Promise) for kind in kinds):
        for awaitable in awaitables:
            if not isinstance(awaitable, Promise) and id(awaitable) not in made:
                made[id(awaitable)] = Promise(_awaits(awaitable))
    promises: Any = tuple([made.get(id(awaitable), awaitable) for awaitable in awaitables]) if made else awaitables
    if not all(getattr(kind, "begins_by_itself", False) for kind in kinds):
        for promise in promises:
            promise.start_whole()
    return promises, list(made.values())


def _awaits(awaitable: Awaitable[Any]) -> Any:
    """Return the resolver of the promise of an awaitable."""

    async def value(_: Promise[Any]) -> Any:
        return await awaitable

    return value
