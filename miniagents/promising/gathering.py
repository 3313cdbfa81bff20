"""Gathering: one promise of the values of several, without a task for each."""

import asyncio
from collections.abc import Awaitable, Generator, Iterable
from typing import Any, Generic, Literal, TypeVar, overload

from miniagents.promising.combining import Link, Linked, as_promises
from miniagents.promising.failures import note_seen
from miniagents.promising.promise import NO_VALUE, Promise
from miniagents.promising.scope import get_scope
from miniagents.promising.waits import Held
from miniagents.promising.work import Cancellable, end_all

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


_WORTH_A_TURN = 20
"""Members from which on a turn of the loop costs less than a callback for each of them."""


class Gathered(Linked, Promise[list[T]], Generic[T]):
    """The promise that `gather` returns: see there.

    The members are told to call back only when somebody wants to know more and not all values are there. For asks that
    an await can answer at once there is no callback at all (benchmark `gather`: one and a half times as fast).

    Args:
        members: The promises, in the order of the values.
        return_exceptions: Put failures into the list.
        cancel: Cancel the members with this promise, and with its awaiter.
    """

    __slots__ = ("_cancels", "_link", "_members", "_returns_exceptions")

    def __init__(self, members: tuple[Promise[T], ...], *, return_exceptions: bool, cancel: bool) -> None:
        super().__init__()
        self._scope = get_scope()
        self._members = members
        self._returns_exceptions = return_exceptions
        self._cancels = cancel
        self._link: Link | None = None
        if cancel:
            self._connect()

    def __await__(self) -> Generator[Any, Any, list[T]]:
        try:
            if self._link is None:
                self._run_ready()
                if len(self._members) >= _WORTH_A_TURN and self._is_pending():
                    yield  # one turn of the loop, in which most of them settle
                self._connect()
            values = yield from super().__await__()
            if self._returns_exceptions:
                self._hand_out()
            return values
        except asyncio.CancelledError:
            if self._cancels:
                self.cancel("the code that awaited the gather was cancelled")
            raise
        finally:
            del self  # else the promise, its error and this frame would be a cycle

    def done(self) -> bool:
        if self._link is None:
            self._connect()
        return super().done()

    def result(self) -> list[T]:
        self.done()
        values = super().result()
        self._hand_out()
        return values

    def start_whole(self) -> None:
        if self._link is None:
            self._connect()

    def held_by(self, at: int | None) -> Held:
        # The failure of any member would end the wait, unless failures are returned.
        return self._returns_exceptions, self.pending()

    def member_settled(self, member: Promise[T]) -> None:
        """Note that a member has failed, or that the last one has settled."""
        if self.settled_value is not NO_VALUE or self.settled_error is not None:
            return
        if member.settled_error is not None and not self._returns_exceptions:
            self._fail(member)
        elif self._link is not None and not self._link.missing:
            self._finish()

    def _run_ready(self) -> None:
        """Run the actors that are ready, as an await of each member would."""
        for member in self._members:
            while member.settled_value is NO_VALUE and member.settled_error is None:
                if not member.run_ready():
                    return

    def _is_pending(self) -> bool:
        for member in self._members:
            if member.settled_value is NO_VALUE:
                return member.settled_error is None
        return False

    def _connect(self) -> None:
        """Settle, or else be told by the members."""
        members, link = self._members, Link(self)
        self._link = link
        for member in members:
            if member.settled_value is NO_VALUE:
                break
        else:
            self._finish()
            return
        link.add_to(members)
        failed = None if self._returns_exceptions else next((m for m in members if m.settled_error is not None), None)
        if failed is not None:
            self._fail(failed)
        elif not link.missing:
            self._finish()
        elif self._cancels:
            link.keeps = self  # the first failure cancels the others, also if no code awaits this promise

    def _finish(self) -> None:
        members, self._members = self._members, ()
        if self._returns_exceptions:
            self._members = tuple([member for member in members if member.settled_error is not None])
            values: list[Any] = [m.settled_value if m.settled_error is None else m.settled_error for m in members]
            self.resolve(values)
        else:
            self.resolve([member.settled_value for member in members])

    def _fail(self, member: Promise[T]) -> None:
        """Fail with the error of a member. Whether that failure has been received is from now on for this promise."""
        error = member.settled_error
        assert error is not None  # test: test_the_first_failure_is_raised_at_once_and_the_others_go_on
        if member.was_seen() or getattr(error, "__miniagents_seen__", False):
            self.mark_seen()
        member.mark_seen()
        others = self._members if self._cancels else ()
        self.reject(error)
        if others:
            end_all(*others, reason=f"another promise of the same gather failed: {error!r}")

    def _hand_out(self) -> None:
        """Note that code has received the failures in the list."""
        members, self._members = self._members, ()
        for member in members:
            member.mark_seen()
            if member.settled_error is not None:
                note_seen(member.settled_error)

    def _all_started(self) -> Iterable[Cancellable]:
        started = super()._all_started()
        return (*started, *self._members) if self._cancels else started

    def _settled(self) -> None:
        super()._settled()
        self._disconnect()
        if self.settled_error is not None:
            self._members = ()


# The types of several values are told as those of a tuple, as those of `asyncio.gather` are: a list has only one.
@overload
def gather(
    first: Awaitable[T1], second: Awaitable[T2], /, *, return_exceptions: Literal[False] = False, cancel: bool = False
) -> Promise[tuple[T1, T2]]: ...
@overload
def gather(
    first: Awaitable[T1],
    second: Awaitable[T2],
    third: Awaitable[T3],
    /,
    *,
    return_exceptions: Literal[False] = False,
    cancel: bool = False,
) -> Promise[tuple[T1, T2, T3]]: ...
@overload
def gather(
    first: Awaitable[T1],
    second: Awaitable[T2],
    third: Awaitable[T3],
    fourth: Awaitable[T4],
    /,
    *,
    return_exceptions: Literal[False] = False,
    cancel: bool = False,
) -> Promise[tuple[T1, T2, T3, T4]]: ...
@overload
def gather(
    *promises: Awaitable[T], return_exceptions: Literal[False] = False, cancel: bool = False
) -> Promise[list[T]]: ...
@overload
def gather(
    *promises: Awaitable[T], return_exceptions: Literal[True], cancel: bool = False
) -> Promise[list[T | BaseException]]: ...
def gather(*promises: Awaitable[Any], return_exceptions: bool = False, cancel: bool = False) -> Promise[Any]:
    """Wait for several promises at once. This is `asyncio.gather` without a task for each of them.

    The first failure is raised at once, and the other promises go on. A later failure is logged if no code receives
    it. A deadlock through one of the promises fails that promise.

    Args:
        *promises: Promises, in the order of the values; the same one may be there several times. A lazy one begins now.
            Other awaitables are run in a task each, which needs an active system.
        return_exceptions: Put failures into the list in the place of values, and wait for all promises.
        cancel: Cancel the promises that have not settled when one of them fails, when the gather is cancelled, or
            when an awaiter of it is. By default they go on, since other code may wait for them.

    Returns:
        The promise of the list of the values. Without promises the list is empty and there at once.

    Raises:
        TypeError: One of `promises` cannot be awaited.
        NoActiveSystemError: One of them is no promise, and no system is active to run it.

    Example:
        >>> class Adder(Actor):
        ...     async def receive(self, message, ctx):
        ...         return TextMessage(f"{message} and 1")
        >>> async with ActorSystem() as system:
        ...     adder = system.spawn(Adder)
        ...     answers = await gather(*(adder.ask(TextMessage(text)) for text in "ab"))
        ...     print(*answers, sep=", ")
        a and 1, b and 1
    """
    members, made = as_promises("gather", promises)
    gathered = Gathered(members, return_exceptions=return_exceptions, cancel=cancel)
    for promise in made:
        gathered.owns(promise)
    return gathered
