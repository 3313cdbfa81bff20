"""Merging: the pieces of several streams, as they come."""

import asyncio
from collections import deque
from typing import Any, Generic, Literal, Self, TypeVar, overload

from miniagents.promising.scope import get_scope, get_work
from miniagents.promising.streamed import Replay, StreamedPromise
from miniagents.promising.waits import Combined, Held, waits

Piece = TypeVar("Piece")
Item = TypeVar("Item")


class Merged(Combined, Generic[Piece, Item]):
    """The iterator that `merge` returns: see there.

    Args:
        streams: The streams.
        with_source: Return pairs of the stream and the piece.

    Attributes:
        source: The stream that the last piece, or the last exception, came from; None before.
    """

    __slots__ = ("_readers", "_with_source", "source")

    def __init__(self, streams: tuple[StreamedPromise[Piece, Any], ...], *, with_source: bool) -> None:
        self._readers: deque[Replay[Piece]] = deque(map(_replay, streams))
        self._with_source = with_source
        self.source: StreamedPromise[Piece, Any] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        readers = self._readers
        while readers:
            reader = self._next_ready()
            if reader is None:
                await self._wait()
                continue
            self.source = reader.place[0]
            try:
                piece = await reader
            except StopAsyncIteration:
                readers.remove(reader)
                continue
            return (self.source, piece) if self._with_source else piece  # type: ignore[return-value]
        raise StopAsyncIteration

    def done(self) -> bool:
        """Return whether a piece, or the end, is there."""
        return not self._readers or any(reader.is_ready for reader in self._readers)

    def held_by(self, at: int | None) -> Held:
        """Return the next piece of each stream, any of which ends the wait: see `Promise.held_by`."""
        return False, [reader.place for reader in self._readers]

    def _next_ready(self) -> Replay[Piece] | None:
        """Return a reader with a piece, each in turn, so that a fast stream does not hold back the others."""
        readers = self._readers
        for _ in range(len(readers)):
            reader = readers[0]
            readers.rotate(-1)
            if reader.is_ready:
                return reader
        return None

    async def _wait(self) -> None:
        """Wait for the next piece of any stream."""
        readers = tuple(self._readers)
        if any([reader.prepare() for reader in readers]):  # each of them begins, also after one that is ready
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for reader in readers:
            reader.add_waiter(waiter)
        try:
            scope = get_scope()
            if scope is None or not (scope.is_node or get_work() is not None):
                await waiter
                return
            scope.begin_wait(self, None)
            waits[waiter] = self, None, scope.node
            try:
                await waiter
            finally:
                del waits[waiter]
        finally:
            # A stream that seems to be waited for would not pause.
            for reader in readers:
                reader.remove_waiter(waiter)


def _replay(stream: StreamedPromise[Piece, Any]) -> Replay[Piece]:
    reader = aiter(stream)
    assert isinstance(reader, Replay)  # test: test_every_kind_of_stream_can_be_merged
    return reader


@overload
def merge(*streams: StreamedPromise[Piece, Any], with_source: Literal[False] = False) -> Merged[Piece, Piece]: ...
@overload
def merge(
    *streams: StreamedPromise[Piece, Any], with_source: Literal[True]
) -> Merged[Piece, tuple[StreamedPromise[Piece, Any], Piece]]: ...
def merge(*streams: StreamedPromise[Any, Any], with_source: bool = False) -> Merged[Any, Any]:
    """Iterate over the pieces of several streams as they come: the messages of replies, the tokens of messages.

    The pieces of one stream stay in their order. Streams that have pieces at the same time take turns. The iterator
    reads a piece when it is asked for one, and keeps none itself. Leaving the loop early cancels nothing.

    An exception in a stream is raised at its place, and the same iterator goes on after it with the other pieces.

    Args:
        *streams: Promises that stream: replies, messages, results of `as_completed`. Lazy ones begin with the first
            wait.
        with_source: Return pairs of the stream and the piece.

    Returns:
        The iterator. Its `source` is the stream that the last piece, or the last exception, came from.

    Raises:
        TypeError: One of `streams` is no promise that streams.

    Example:
        >>> @miniagent
        ... async def counter(ctx, name, seconds):
        ...     for number in (1, 2):
        ...         await asyncio.sleep(seconds)
        ...         ctx.reply(f"{name}{number}")
        >>> async with MiniAgents():
        ...     slow, fast = counter.inquire(name="slow", seconds=0.5), counter.inquire(name="fast", seconds=0.01)
        ...     async for message in merge(slow, fast):
        ...         print(await message)
        fast1
        fast2
        slow1
        slow2
    """
    for stream in streams:
        if not isinstance(stream, StreamedPromise):
            if isinstance(stream, (list, tuple)):
                instead = "write merge(*streams)"
            else:
                instead = "make a promise of an async iterable first: StreamedPromise(lambda _: source)"
            raise TypeError(f"merge() reads promises that stream, not a {type(stream).__name__}: {instead}")
    return Merged(streams, with_source=with_source)
