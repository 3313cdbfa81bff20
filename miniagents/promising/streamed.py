"""Streamed promises: values that arrive piece by piece, and that every reader can replay from the first piece.

The module is longer than most, since hot paths are written out in it instead of calling helpers (benchmarks `stream3`,
`agent_call`).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Generator, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from miniagents.errors import InvalidOptionError
from miniagents.promising.failures import note_seen
from miniagents.promising.flow import current_flow
from miniagents.promising.promise import NO_VALUE, UNRAISABLE, Promise, _NoValue
from miniagents.promising.scope import PromisingContext, Scope, current_work, get_scope, get_work, started
from miniagents.promising.waits import Held, waits
from miniagents.promising.work import Endings, end_task

Piece = TypeVar("Piece")
Piece_co = TypeVar("Piece_co", covariant=True)
Whole_co = TypeVar("Whole_co", covariant=True)

Tap = Callable[["StreamedPromise[Any, Any]", Any], None]
"""Called with each piece before it is added to a promise (an exception as a `Failure`). May raise to refuse the
piece."""

_NEVER: Any = object()
"""In the place of a pause: the stream does not pause any more."""


class Failure:
    """An exception at its place in a stream: it is raised there, and the pieces after it follow."""

    __slots__ = ("error", "traceback")

    def __init__(self, error: BaseException) -> None:
        if isinstance(error, UNRAISABLE):
            wrapped = RuntimeError(f"the source of a stream raised {type(error).__name__}")
            wrapped.__cause__ = error
            error = wrapped
        self.error = error
        self.traceback = error.__traceback__


class Feeder(Protocol):
    """The side of a `Flattener` that its promise uses."""

    fed_by: Any
    scope: Scope | None

    @property
    def is_open(self) -> bool:
        """Whether more can be put in."""

    @property
    def tasks(self) -> Collection[Any]:
        """The tasks that put pieces in."""

    def held_by(self, at: int | None) -> Held | None:
        """Return what holds the promise up: see `Promise.held_by`."""


class StreamedPromise(Promise[Whole_co], Generic[Piece_co, Whole_co]):
    """A promise that is also an async iterable. Every iteration gets all pieces from the first one: those that are
    there at once, and the others as they come.

    Args:
        streamer: A function that is called once, with this promise, and returns the async iterator of the pieces; or a
            `StreamAppender`. Without a streamer, the code that made the promise pushes the pieces.
        resolver: An async function that makes the whole of the pieces: `async (promise) -> whole`. By default the whole
            is the tuple of the pieces.
        prefill_pieces: The pieces, if they are all there already.
        prefill_result: The whole, if it is there already.
        start_soon: Begin to stream as soon as the loop turns; otherwise with the first iteration or `await`.
        keep: How many of the last pieces are kept for replay, 1 or more; None for all. A late reader begins with these.

    Raises:
        ValueError: Both a streamer and pieces were given.
        InvalidOptionError: `keep` is below 1.
        NoActiveSystemError: A streamer or resolver was given, and no system is active to run it.

    Example:
        >>> async def count(promise):
        ...     for number in (1, 2, 3):
        ...         yield number
        >>> async with MiniAgents():
        ...     promise = StreamedPromise(count)
        ...     async for number in promise:
        ...         print(number)
        ...     print(await promise, [number async for number in promise])
        1
        2
        3
        (1, 2, 3) [1, 2, 3]
    """

    __slots__ = (
        "_keep",
        "_streamer",
        "_whole",
        "dropped",
        "finished",
        "flattener",
        "pause",
        "piece_waiters",
        "pieces",
        "stream_task",
        "tap",
    )

    def __init__(
        self,
        streamer: "Callable[[Any], AsyncIterator[Piece_co]] | None" = None,
        *,
        resolver: "Callable[[Any], Awaitable[Whole_co]] | None" = None,
        prefill_pieces: Iterable[Piece_co] | None = None,
        prefill_result: "Whole_co | _NoValue" = NO_VALUE,
        start_soon: bool = True,
        keep: int | None = None,
    ) -> None:
        if streamer is not None and prefill_pieces is not None:
            raise ValueError("a streamed promise takes a streamer or prefilled pieces, not both")
        if keep is not None and keep < 1:
            raise InvalidOptionError(f"keep= must be 1 or more, or None, not {keep!r}")
        super().__init__(prefill_result=prefill_result)
        self.pieces: Any = [] if keep is None else deque(maxlen=keep)  # or, of prefilled promises, a tuple
        self.dropped: int = 0
        self.flattener: Feeder | None = None
        self._keep = keep
        self.pause: asyncio.Future[None] | None = None
        self.tap: Tap | None = None
        self.finished: bool = False
        self.piece_waiters: list[asyncio.Future[None]] | None = None
        self._streamer = streamer
        self.stream_task: asyncio.Task[Any] | None = None
        self._whole = resolver
        if prefill_pieces is not None:
            self.pieces.extend(prefill_pieces)
            self.finished = True
        if streamer is not None or resolver is not None:
            self._scope = get_scope() or PromisingContext.get_current()
            started(self, self._scope)
            if start_soon:
                self.start()
            else:
                self._scope.promising_context.lazy_promises[self] = None

    # Iteration

    def __aiter__(self) -> "AsyncIterator[Piece_co]":
        return Replay(self)

    def __call__(self, *_: object) -> "AsyncIterator[Piece_co]":
        """Iterate, so that a streamed promise can be the streamer of another one."""
        return self.__aiter__()

    def __await__(self) -> Generator[Any, Any, Whole_co]:
        if self.settled_value is NO_VALUE and self.settled_error is None:
            if self.pause is not _NEVER:  # `want_whole`, written out (benchmark `agent_call`)
                if self.pause is not None:
                    self.end_pause()
                self.pause = _NEVER
            if self.finished and self._whole is None:
                self._complete()
            else:
                self.start()
        return super().__await__()

    # The producer's side

    def push_piece(self, piece: Piece_co) -> None:  # type: ignore[misc]  # only the maker of the promise calls this
        """Add a piece. After the end of the stream the piece is thrown away."""
        if self.finished:
            return
        if self.tap is not None:
            self.tap(self, piece)
        pieces = self.pieces
        if self._keep is not None and len(pieces) == self._keep:
            self.dropped += 1
        pieces.append(piece)
        waiters = self.piece_waiters
        if waiters is not None:
            self.piece_waiters = None
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def push_error(self, error: BaseException) -> None:
        """Add an exception at this place of the stream. Pieces may follow."""
        if isinstance(error, asyncio.CancelledError):
            error = self._cancelled(error.args[0] if error.args else None)
        if getattr(error, "__miniagents_seen__", False):
            error.__miniagents_seen__ = False  # type: ignore[attr-defined]
        self.push_piece(Failure(error))  # type: ignore[arg-type]

    def end_stream(self, error: BaseException | None = None) -> None:
        """End the stream.

        Args:
            error: An exception to be added first, so that every iteration raises it at the end; or None.
        """
        if self.finished:
            return
        if error is not None:
            self.push_error(error)
        self.finished = True
        self._streamer = None
        if self._keep is None:
            self.pieces = tuple(self.pieces)  # no piece follows, and a tuple takes half the memory of a list
        waiters, self.piece_waiters = self.piece_waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)
        if self.settled_value is not NO_VALUE or self.settled_error is not None:
            self._scope = self.flattener = self.tap = None  # they were only kept for the rest of the stream
        elif self._whole is None:
            self._complete()
        elif self._task is None and self._scope is not None:
            self._begin_whole(self._scope)

    def is_waited_for(self) -> bool:
        """Return whether a task waits for the whole or for a piece."""
        return bool(self.waiters or self.piece_waiters)

    def _complete(self) -> None:
        """Make the whole of the pieces, at once. A hook: see `miniagents.promising`."""
        if self.done():
            return
        for piece in self.pieces:
            if type(piece) is Failure:
                self.reject(piece.error)
                return
        try:
            whole = self._assembled(self.pieces)
        except Exception as error:
            self.reject(error)
        else:
            self.resolve(whole)

    def _assembled(self, pieces: Sequence[Piece_co]) -> Whole_co:
        """Return the whole that is made of all pieces, none of which is an exception. A hook."""
        return tuple(pieces)  # type: ignore[return-value]

    def _begin_whole(self, scope: Scope) -> None:
        """Make the whole of the pieces in a task."""
        task = scope.start_soon(self._assemble(), on_cancelled=self.reject)
        if not self.done():  # an eager task may have run to its end
            self._task = task

    async def _assemble(self) -> None:
        whole = self._whole
        if whole is None:
            return
        current_work.set(self)
        try:
            self.resolve(await whole(self))
        except BaseException as error:
            self.reject(error)
        finally:
            del self, whole  # else the promise, its error and this frame would be a cycle

    def _settled(self) -> None:
        scope = self._scope
        super()._settled()
        if not self.finished:
            # The stream may go on although the promise has settled: it was cancelled, or its value was given.
            self._scope = scope
            if self.settled_error is None:
                return
            self.end_stream(self.settled_error)
        self.flattener = self.tap = None  # they lead back to here

    # The work behind it

    def start(self) -> None:
        scope = self._scope
        if scope is None:
            return
        if self._streamer is not None and self.stream_task is None:
            attach = getattr(self._streamer, "attach", None)
            if attach is not None:
                attach(self)
                self._streamer = None  # the appender pushes straight into this promise
                return
            task = scope.start_soon(self._stream(), on_cancelled=self._was_cut_off)
            if not task.done():  # an eager task may have run to its end
                self.stream_task = task
        elif self.finished and self._whole is not None and self._task is None:
            self._begin_whole(scope)

    def start_whole(self) -> None:
        if not self.done():
            self.want_whole()
            if self.finished and self._whole is None:
                self._complete()
            else:
                self.start()

    def has_all_pieces(self) -> bool:
        """Return whether all pieces have arrived, so that only an `await` is missing to put the whole together."""
        return self.finished and self._whole is None

    async def _stream(self) -> None:
        streamer = self._streamer
        if streamer is None:
            self.stream_task = None
            return
        current_work.set(self)
        error: BaseException | None = None
        pieces: AsyncIterator[Piece_co] | None = None
        push, flow = self.push_piece, current_flow.get()
        try:
            pieces = streamer(self)
            if not hasattr(pieces, "__anext__"):
                raise TypeError(f"a streamer must return an async iterator, not {type(pieces).__name__}")
            async for piece in pieces:
                push(piece)
                if self.finished:
                    break
                if flow is not None and flow.is_full:
                    await flow.room(self)
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                try:
                    await close()
                except BaseException as raised:
                    error = error or raised
        self.stream_task = None  # its context leads back to here
        try:
            self.end_stream(error)
        finally:
            del self, push, error  # else the promise, its error and this frame would be a cycle

    def _was_cut_off(self, error: asyncio.CancelledError) -> None:
        """End the stream, since its task was cancelled before the first step."""
        self.stream_task = None
        self.end_stream(error)

    def held_by(self, at: int | None) -> Held | None:
        if self.finished:
            return None if at is not None or self._task is None else (True, (self._task,))
        if at is not None and at - self.dropped < len(self.pieces):
            return None
        if self.flattener is not None:
            return self.flattener.held_by(at)
        if self.stream_task is None or (self._scope is not None and self._scope.has_timeout):
            return None
        return True, (self.stream_task,)

    def look_again(self) -> None:
        """Tell the scope that fewer producers than before can bring the promise on: see `Scope.look_again`."""
        if self.waiters or self.piece_waiters:
            flat = self.flattener
            scope = flat.scope if flat is not None and flat.scope is not None else get_scope()
            if scope is not None:
                scope.look_again(self)

    def _cancel_work(self, reason: object, endings: Endings) -> None:
        super()._cancel_work(reason, endings)
        end_task(self.stream_task, reason, endings, self)

    # Pauses, see `Flow`

    @property
    def is_wanted(self) -> bool:
        """Whether a task waits for a piece, or has asked for the whole."""
        return self.pause is _NEVER or self.piece_waiters is not None

    def want_whole(self) -> None:
        """Let the stream never pause any more, since the whole is wanted."""
        self.end_pause()
        self.pause = _NEVER

    def end_pause(self) -> None:
        """End the pause, if there is one."""
        pause = self.pause
        if pause is not None and pause is not _NEVER and not pause.done():
            pause.set_result(None)


class Replay(Generic[Piece]):
    """The place of one reader in a stream.

    `__anext__` returns the iterator itself as the awaitable, so that a piece that is there costs no coroutine.

    An iterator belongs to one reader: whose waits the deadlock detection sees is looked up at the first wait, and not
    for each piece (benchmark `stream3_live`).
    """

    __slots__ = ("_index", "_is_watched", "_loop", "_node", "_promise")

    def __init__(self, promise: StreamedPromise[Piece, Any]) -> None:
        self._promise = promise
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_watched = False
        self._node: Any = None
        self._index = promise.dropped

    def raised(self, error: BaseException) -> bool:
        """Return whether an error is the piece that was handed out last."""
        at = self._index - self._promise.dropped - 1
        piece = self._promise.pieces[at] if at >= 0 else None
        return type(piece) is Failure and piece.error is error

    @property
    def place(self) -> tuple[StreamedPromise[Piece, Any], int]:
        """The stream, and the index of the next piece."""
        return self._promise, self._index

    @property
    def is_ready(self) -> bool:
        """Whether the next piece, or the end of the stream, is there."""
        promise = self._promise
        return promise.finished or self._index - promise.dropped < len(promise.pieces)

    def prepare(self) -> bool:
        """Begin the stream, and do now what can be done for the next piece.

        Returns:
            Whether the next piece, or the end of the stream, is there.
        """
        promise = self._promise
        if not self.is_ready and promise.stream_task is None:
            promise.start()
        while not self.is_ready:
            if promise.producer is None or not promise.run_ready():
                return False
        return True

    def add_waiter(self, waiter: "asyncio.Future[None]") -> None:
        """Let a future resolve with the next piece. Until then, or until `remove_waiter`, the stream does not pause."""
        promise = self._promise
        promise.end_pause()
        if promise.piece_waiters is None:
            promise.piece_waiters = [waiter]
        else:
            promise.piece_waiters.append(waiter)

    def remove_waiter(self, waiter: "asyncio.Future[None]") -> None:
        """Take back a future that `add_waiter` was given, if it is still there."""
        waiters = self._promise.piece_waiters
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                self._promise.piece_waiters = None

    def __aiter__(self) -> "Replay[Piece]":
        return self

    def __anext__(self) -> "Replay[Piece]":
        return self

    def __await__(self) -> Generator[Any, Any, Piece]:
        promise = self._promise
        while True:
            at = self._index - promise.dropped
            if at < 0:  # this reader was too slow for `keep=`
                self._index = promise.dropped
                at = 0
            if at < len(promise.pieces):
                self._index += 1
                piece = promise.pieces[at]
                if type(piece) is Failure:
                    promise.mark_seen()
                    note_seen(piece.error)
                    try:
                        raise piece.error.with_traceback(piece.traceback)
                    finally:
                        del self, promise, piece  # else the promise, its error and this frame would be a cycle
                return piece  # type: ignore[no-any-return]
            if promise.finished:
                raise StopAsyncIteration
            loop = self._loop
            if loop is None:  # the first wait
                loop = self._loop = promise.event_loop()
                scope = get_scope()
                if scope is not None and (scope.is_node or get_work() is not None):
                    self._is_watched, self._node = True, scope if scope.is_node else scope.node
                if promise.stream_task is None:
                    promise.start()
                    if promise.finished or self._index - promise.dropped < len(promise.pieces):
                        continue
            if promise.producer is not None and promise.run_ready():
                continue
            if promise.pause is not None:
                promise.end_pause()
            waiter: asyncio.Future[None] = loop.create_future()
            if promise.piece_waiters is None:
                promise.piece_waiters = [waiter]
            else:
                promise.piece_waiters.append(waiter)
            # What `_wait_for` does, written out (benchmark `stream3`).
            if not self._is_watched:
                yield from waiter
                continue
            source: Any = promise.stream_task
            # Asyncio has no public name for the future that a task waits for.
            if promise.producer is not None or source is None or source._fut_waiter in waits:  # noqa: SLF001
                watch = promise.producer if promise.producer is not None else get_scope()
                if watch is not None:
                    watch.begin_wait(promise, self._index)
            waits[waiter] = promise, self._index, self._node
            try:
                yield from waiter
            finally:
                del waits[waiter]
