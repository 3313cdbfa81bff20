"""Appenders: streams whose pieces are put in by hand."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from miniagents.errors import AppenderClosedError, AppenderNotOpenError
from miniagents.promising.streamed import Failure, StreamedPromise

Piece = TypeVar("Piece")


class StreamAppender(Generic[Piece]):
    """The source of one `StreamedPromise`, filled by hand.

    The appender is open inside its `with` block and closed after it.

    Args:
        capture_errors: An exception in the block becomes the last piece of the stream instead of leaving the block.

    Example:
        >>> async with MiniAgents():
        ...     with StreamAppender[str]() as appender:
        ...         promise = StreamedPromise(appender)
        ...         _ = appender.append("a piece").append("another piece")
        ...     print(await promise)
        ('a piece', 'another piece')
    """

    def __init__(self, capture_errors: bool = False) -> None:
        self._capture_errors = capture_errors
        self._early: list[Any] = []
        self._promise: StreamedPromise[Piece, Any] | None = None
        self._was_open = False
        self._closed = False

    @property
    def was_open(self) -> bool:
        """Whether the appender was ever opened."""
        return self._was_open

    @property
    def is_open(self) -> bool:
        """Whether the appender takes pieces now."""
        return self._was_open and not self._closed

    def open(self) -> Self:
        """Take pieces from now on.

        Raises:
            AppenderClosedError: The appender was closed.
        """
        if self._closed:
            raise AppenderClosedError(f"this {type(self).__name__} was closed and cannot be opened again")
        self._was_open = True
        return self

    def append(self, piece: Piece) -> Self:
        """Append one piece.

        Raises:
            AppenderNotOpenError: The appender was never opened.
            AppenderClosedError: The appender was closed.
        """
        self._check_open()
        if self._promise is not None:
            self._promise.push_piece(piece)
        else:
            self._early.append(piece)
        return self

    def append_error(self, error: BaseException) -> Self:
        """Append an exception, which is raised at this place of the stream.

        Raises:
            AppenderNotOpenError: The appender was never opened.
            AppenderClosedError: The appender was closed.
        """
        self._check_open()
        if self._promise is not None:
            self._promise.push_error(error)
        else:
            self._early.append(Failure(error))
        return self

    def close(self, error: BaseException | None = None) -> bool:
        """End the stream. Closing again is harmless.

        Args:
            error: The exception that left the `with` block, or None.

        Returns:
            Whether `error` became the last piece, so that it need not be raised.
        """
        captured = error is not None and self._capture_errors and not isinstance(error, AppenderClosedError)
        if not self._closed:
            if captured and error is not None:
                self.open().append_error(error)
            self._closed = True
            if self._promise is not None:
                self._promise.end_stream()
        return captured

    def _check_open(self) -> None:
        if self._closed:
            raise AppenderClosedError(f"this {type(self).__name__} was closed and takes nothing more")
        if not self._was_open:
            raise AppenderNotOpenError(f"put append() inside `with {type(self).__name__}():`, or call open() first")

    def attach(self, promise: StreamedPromise[Piece, Any]) -> None:
        """Feed `promise` from now on, without a task and a queue in between.

        Raises:
            RuntimeError: The appender feeds another promise.
        """
        if self._promise is not None:
            raise RuntimeError(f"this {type(self).__name__} feeds another promise already")
        self._promise = promise
        early, self._early = self._early, []
        for piece in early:
            promise.push_piece(piece)
        if self._closed:
            promise.end_stream()

    def __call__(self, *_: object) -> AsyncIterator[Piece]:
        """Raise: a promise attaches an appender instead of calling it."""
        raise RuntimeError("an appender is given to a StreamedPromise as its streamer=, not called")

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> bool:
        return self.close(error)

    async def __aenter__(self) -> Self:
        raise RuntimeError(f"use `with {type(self).__name__}():` instead of `async with {type(self).__name__}():`")

    async def __aexit__(self, *_: object) -> None:
        """Is never reached, since `__aenter__` raises."""
