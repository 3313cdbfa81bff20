"""Completing: several promises, in the order in which they settle."""

from collections.abc import Awaitable
from typing import Any, Generic, TypeVar, overload

from miniagents.promising.combining import Link, Linked, as_promises
from miniagents.promising.promise import Promise
from miniagents.promising.scope import get_scope
from miniagents.promising.streamed import StreamedPromise
from miniagents.promising.waits import Held

T = TypeVar("T")
P = TypeVar("P", bound=Promise[Any])


class Completed(Linked, StreamedPromise[Promise[T], tuple[Promise[T], ...]], Generic[T]):
    """The stream that `as_completed` returns: see there.

    Args:
        members: The promises.
    """

    __slots__ = ("_link", "_members")

    def __init__(self, members: tuple[Promise[T], ...]) -> None:
        super().__init__()
        self._scope = get_scope()
        self.producer = _READER
        self._members = members
        self._link = Link(self, tells_each=True)
        self._link.add_to(members)
        for member in members:
            if member.done():
                self.push_piece(member)
        if not self._link.missing:
            self.end_stream()

    _link: Link

    def member_settled(self, member: Promise[T]) -> None:
        """Note that a promise has settled."""
        self.push_piece(member)
        if not self._link.missing:
            self.end_stream()

    def held_by(self, at: int | None) -> Held | None:
        if self.finished or (at is not None and at < len(self.pieces)):
            return None
        return at is None, self.pending()

    def _settled(self) -> None:
        super()._settled()
        self._disconnect()


class _Reader:
    """The producer of a promise that others settle: its wait is seen by the scope of the reader."""

    __slots__ = ()

    def begin_wait(self, promise: Any, at: int | None) -> None:
        """See `Producer`."""
        scope = get_scope()
        if scope is not None:
            scope.begin_wait(promise, at)

    def node_behind(self, promise: Any) -> object:
        """See `Producer`."""


_READER = _Reader()
"""With a producer, a stream is asked to `run_ready` before a reader waits."""


@overload  # the very promises come, with all that their class has
def as_completed(*promises: P) -> StreamedPromise[P, tuple[P, ...]]: ...


@overload
def as_completed(*promises: Awaitable[T]) -> StreamedPromise[Promise[T], tuple[Promise[T], ...]]: ...


def as_completed(*promises: Awaitable[Any]) -> Any:
    """Iterate over several promises in the order in which they settle.

    Iterate with `async for`. Each promise comes when it has settled, so that an `await` of it returns or raises at
    once. Each comes once. Leaving the loop early cancels nothing. As
    with `asyncio.as_completed` of Python 3.13 and `async for`, the promises are the very ones that were given.

    Args:
        *promises: Promises. Those that have settled come first, in their order. Lazy ones begin now. Other awaitables
            are run in a task each, which needs an active system, and the promises of these come.

    Returns:
        The stream of the promises. Awaited, it resolves to all of them.

    Raises:
        TypeError: One of `promises` cannot be awaited.
        NoActiveSystemError: One of them is no promise, and no system is active to run it.

    Example:
        >>> @miniagent
        ... async def sleeper(ctx, seconds):
        ...     await asyncio.sleep(seconds)
        ...     ctx.reply(f"slept {seconds}")
        >>> async with MiniAgents():
        ...     async for replies in as_completed(sleeper.inquire(seconds=0.02), sleeper.inquire(seconds=0.01)):
        ...         print(await replies)
        slept 0.01
        slept 0.02
    """
    members, _ = as_promises("as_completed", promises)
    return Completed(tuple(dict.fromkeys(members)))
