"""Streamed promises: values that arrive piece by piece and can be replayed by everybody from the first piece."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Generator, Iterable, Sequence
from typing import Any, Generic, TypeVar

from miniagents.errors import InvalidOptionError
from miniagents.promising.failures import note_seen
from miniagents.promising.flow import current_flow
from miniagents.promising.promise import NO_VALUE, UNRAISABLE, Promise
from miniagents.promising.scope import PromisingContext, current_work, get_scope, get_work, started
from miniagents.promising.waits import waits
from miniagents.promising.work import Endings, end_task

Piece = TypeVar("Piece")
Whole = TypeVar("Whole")

Tap = Callable[["StreamedPromise[Any, Any]", Any], None]
"""Sees each piece before it comes into a promise, exceptions as `Failure`s too; may raise instead of letting it in."""

_NEVER: Any = object()
"""In the place of a pause: there is none any more."""


class Failure:
    """An exception at its place in a stream: it is raised there, and what comes after it follows."""

    __slots__ = ("error", "traceback")

    def __init__(self, error: BaseException) -> None:
        if isinstance(error, UNRAISABLE):
            wrapped = RuntimeError(f"the source of a stream raised {type(error).__name__}")
            wrapped.__cause__ = error
            error = wrapped
        self.error = error
        self.traceback = error.__traceback__


class StreamedPromise(Promise[Whole], Generic[Piece, Whole]):
    """A promise that is also an async iterable. Every iteration sees all the pieces from the first one, those that are
    there at once and the others as they come.

    Args:
        streamer: Called once with this promise; gives the async iterator of the pieces. A `StreamAppender` is one.
            Without one, the pieces are pushed by whoever made the promise.
        resolver: Makes the whole of the pieces: `async (promise) -> Whole`. By default the tuple of the pieces.
        prefill_pieces: The pieces, if they are all there already.
        prefill_result: The whole, if it is there already.
        start_soon: Begin as soon as the loop turns; otherwise when somebody first iterates or awaits.
        keep: How many of the last pieces are kept for replay; None for all. A late consumer begins with those.
    """

    __slots__ = (
        "_dropped",
        "_finished",
        "_flat",
        "_keep",
        "_pause",
        "_piece_waiters",
        "_pieces",
        "_stream_task",
        "_streamer",
        "_tap",
        "_whole",
    )

    def __init__(
        self,
        streamer: "Callable[[Any], AsyncIterator[Piece]] | None" = None,
        *,
        resolver: "Callable[[Any], Awaitable[Whole]] | None" = None,
        prefill_pieces: Iterable[Piece] | None = None,
        prefill_result: Any = NO_VALUE,
        start_soon: bool = True,
        keep: int | None = None,
    ) -> None:
        if streamer is not None and prefill_pieces is not None:
            raise ValueError("a streamed promise takes a streamer or prefilled pieces, not both")
        if keep is not None and keep < 1:
            raise InvalidOptionError(f"keep= must be 1 or more, or None, not {keep!r}")
        super().__init__(prefill_result=prefill_result)
        self._pieces: Any = [] if keep is None else deque(maxlen=keep)
        self._dropped = 0
        self._flat: Any = None  # the `Flattener` that fills it, if one does
        self._keep = keep
        self._pause: Any = None
        self._tap: Tap | None = None
        self._finished = False
        self._piece_waiters: list[asyncio.Future[None]] | None = None
        self._streamer = streamer
        self._stream_task: asyncio.Task[Any] | None = None
        self._whole = resolver
        if prefill_pieces is not None:
            self._pieces.extend(prefill_pieces)
            self._finished = True
        if streamer is not None or resolver is not None:
            self._scope = get_scope() or PromisingContext.get_current()
            started(self, self._scope)
            if start_soon:
                self._start()
            else:
                self._scope.promising_context._lazy[self] = None

    # Iteration

    def __aiter__(self) -> "AsyncIterator[Piece]":
        return Replay(self)

    def __call__(self, *_: Any) -> "AsyncIterator[Piece]":
        """A streamed promise can be the streamer of another one."""
        return self.__aiter__()

    def __await__(self) -> Generator[Any, Any, Whole]:
        if self._value is NO_VALUE and self._error is None:
            if self._pause is not _NEVER:  # written out: every call of an agent is awaited (benchmark `agent_call`)
                if self._pause is not None:
                    self._go_on()
                self._pause = _NEVER
            if self._finished and self._whole is None:
                self._complete()
            else:
                self._start()
        return super().__await__()

    # The producer's side

    def _push(self, piece: Piece) -> None:
        """One more piece; after the end it is thrown away."""
        if self._finished:
            return
        if self._tap is not None:
            self._tap(self, piece)
        pieces = self._pieces
        if self._keep is not None and len(pieces) == self._keep:
            self._dropped += 1
        pieces.append(piece)
        waiters = self._piece_waiters
        if waiters is not None:
            self._piece_waiters = None
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _push_error(self, error: BaseException) -> None:
        """An exception at this place; pieces may follow."""
        if isinstance(error, asyncio.CancelledError):
            error = self._cancelled(error.args[0] if error.args else None)
        if getattr(error, "__miniagents_seen__", False):
            error.__miniagents_seen__ = False  # type: ignore[attr-defined]
        self._push(Failure(error))  # type: ignore[arg-type]

    def _end(self, error: BaseException | None = None) -> None:
        """No more pieces. With an error, every iteration ends by raising it."""
        if self._finished:
            return
        if error is not None:
            self._push_error(error)
        self._finished = True
        self._streamer = None
        waiters, self._piece_waiters = self._piece_waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)
        if self._whole is None:
            self._complete()
        elif self._task is None and self._scope is not None and not self.done():
            self._task = self._scope.start_soon(self._assemble(), on_cancelled=self._reject)
        self._ended_streaming()

    def _is_waited_for(self) -> bool:
        return bool(self._waiters or self._piece_waiters)

    def _help(self) -> bool:
        """Somebody is about to wait for a piece: do what can be done for it now.

        Returns:
            Whether anything was done, so that it may be there.
        """
        return False

    def _ended_streaming(self) -> None:
        """All pieces are there."""

    def _complete(self) -> None:
        """Make the whole of the pieces, at once."""
        if self.done():
            return
        for piece in self._pieces:
            if type(piece) is Failure:
                self._reject(piece.error)
                return
        try:
            whole = self._assembled(self._pieces)
        except Exception as error:
            self._reject(error)
        else:
            self._resolve(whole)

    def _assembled(self, pieces: Sequence[Piece]) -> Whole:
        """The whole, made of all the pieces; none of them is an exception."""
        return tuple(pieces)  # type: ignore[return-value]

    async def _assemble(self) -> None:
        whole = self._whole
        if whole is None:
            return
        current_work.set(self)
        try:
            self._resolve(await whole(self))
        except BaseException as error:
            self._reject(error)

    def _settled(self) -> None:
        scope = self._scope
        super()._settled()
        if not self._finished:
            # The stream may go on although the whole is known (it was cancelled, or prefilled).
            self._scope = scope
            if self._error is not None:
                self._end(self._error)

    # The work behind it

    def _start(self) -> None:
        scope = self._scope
        if scope is None:
            return
        if self._streamer is not None and self._stream_task is None:
            attach = getattr(self._streamer, "_attach", None)
            if attach is not None and attach(self):
                self._streamer = None  # the appender pushes straight into this promise
                return
            self._stream_task = scope.start_soon(self._stream(), on_cancelled=self._end)
        elif self._finished and self._whole is not None and self._task is None:
            self._task = scope.start_soon(self._assemble(), on_cancelled=self._reject)

    def has_all_pieces(self) -> bool:
        """Return whether all pieces have arrived, so that only an `await` is missing to put the whole together."""
        return self._finished and self._whole is None

    async def _stream(self) -> None:
        streamer = self._streamer
        if streamer is None:
            return
        current_work.set(self)
        error: BaseException | None = None
        pieces: Any = None
        try:
            pieces = streamer(self)
            if not hasattr(pieces, "__anext__"):
                raise TypeError(f"a streamer must return an async iterator, not {type(pieces).__name__}")
            push, flow = self._push, current_flow.get()
            async for piece in pieces:
                push(piece)
                if self._finished:
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
        self._end(error)

    def _held_by(self, at: int | None) -> tuple[bool, Collection[Any]] | None:
        if self._finished:
            return None if at is not None or self._task is None else (True, (self._task,))
        if at is not None and at - self._dropped < len(self._pieces):
            return None
        if self._flat is not None:
            return self._flat.held_by(at)  # type: ignore[no-any-return]
        if self._stream_task is None or (self._scope is not None and self._scope.has_timeout):
            return None
        return True, (self._stream_task,)

    def _look_again(self) -> None:
        """Fewer than before can bring it on."""
        if self._waiters or self._piece_waiters:
            flat = self._flat
            scope = flat._scope if flat is not None and flat._scope is not None else get_scope()
            if scope is not None:
                scope.look_again(self)

    def _cancel_work(self, reason: object, endings: Endings) -> None:
        super()._cancel_work(reason, endings)
        end_task(self._stream_task, reason, endings, self)

    # Pauses, see `Flow`

    @property
    def _is_wanted(self) -> bool:
        """Whether somebody waits for a piece of it, or has asked for the whole."""
        return self._pause is _NEVER or self._piece_waiters is not None

    def _want_whole(self) -> None:
        """Somebody wants the whole: it never pauses any more."""
        self._go_on()
        self._pause = _NEVER

    def _go_on(self) -> None:
        """End its pause, if it has one."""
        pause = self._pause
        if pause is not None and pause is not _NEVER and not pause.done():
            pause.set_result(None)


class Replay(Generic[Piece]):
    """One consumer's place in the stream.

    `__anext__` hands out the iterator itself as the awaitable: a piece that is there costs no coroutine.
    """

    __slots__ = ("_index", "_loop", "_promise")

    def __init__(self, promise: StreamedPromise[Piece, Any]) -> None:
        self._promise = promise
        self._loop: asyncio.AbstractEventLoop | None = None
        self._index = promise._dropped

    def raised(self, error: BaseException) -> bool:
        """Whether an error is the piece that was handed out last."""
        at = self._index - self._promise._dropped - 1
        piece = self._promise._pieces[at] if at >= 0 else None
        return type(piece) is Failure and piece.error is error

    def __aiter__(self) -> "Replay[Piece]":
        return self

    def __anext__(self) -> "Replay[Piece]":
        return self

    def __await__(self) -> Generator[Any, Any, Piece]:
        promise = self._promise
        while True:
            at = self._index - promise._dropped
            if at < 0:  # this consumer was too slow for `keep=`
                self._index = promise._dropped
                at = 0
            if at < len(promise._pieces):
                self._index += 1
                piece = promise._pieces[at]
                if type(piece) is Failure:
                    promise._look()
                    note_seen(piece.error)
                    raise piece.error.with_traceback(piece.traceback)
                return piece  # type: ignore[no-any-return]
            if promise._finished:
                raise StopAsyncIteration
            if promise._stream_task is None:
                promise._start()
                if promise._finished or self._index - promise._dropped < len(promise._pieces):
                    continue
            if promise._producer is not None and promise._help():
                continue
            if promise._pause is not None:
                promise._go_on()
            loop = self._loop
            if loop is None:
                loop = self._loop = promise._event_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            if promise._piece_waiters is None:
                promise._piece_waiters = [waiter]
            else:
                promise._piece_waiters.append(waiter)
            # What `_wait_for` does, written out (benchmark `stream3`).
            scope = get_scope()
            if scope is None or not (scope.is_node or get_work() is not None):
                yield from waiter
                continue
            source: Any = promise._stream_task
            if promise._producer is not None or source is None or source._fut_waiter in waits:
                watch: Any = scope if promise._producer is None else promise._producer
                watch.begin_wait(promise, self._index)
            waits[waiter] = promise, self._index, scope.node
            try:
                yield from waiter
            finally:
                del waits[waiter]
