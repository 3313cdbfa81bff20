"""The replies of a call: their size, and the positions of their readers."""

import asyncio
from collections.abc import Callable
from typing import Any

from miniagents.ext.llms.parts import ReasoningToken
from miniagents.ext.serving.http.problems import Problem
from miniagents.messages import MessagePromise, TextToken
from miniagents.promising import Flow, StreamedPromise
from miniagents.promising.streamed import Failure

_PIECE = 100
"""Bytes of memory that a piece of a message takes besides its text, and a message besides its pieces."""


class Reading(Flow):
    """The replies of one call, as they arrive and as they are read.

    Streams below the call pause while all its readers are sending, and the furthest of them is more than `ahead` bytes
    behind. A reader that waits for replies pauses nothing. A call without readers is not paused either.

    Args:
        ahead: Bytes that may wait for readers, 0 or more.
        most: The most bytes of the replies, 1 or more; None for no limit.
        overflow: Called once with the problem that ends the call, when there are more bytes; None for no call.
        whose: The name of the agent, for the text of the problem.

    Attributes:
        ahead: Bytes that may wait for readers.
        full_at: The size above which the flow is full, for the current positions of the readers; None while it cannot
            be full.
        readers: The current readers.
        size: Bytes that have arrived; see `weight`.
    """

    __slots__ = ("_most", "_overflow", "_whose", "ahead", "full_at", "readers", "size")

    def __init__(
        self,
        ahead: int = 0,
        most: int | None = None,
        overflow: Callable[[Problem], object] | None = None,
        whose: str = "the agent",
    ) -> None:
        super().__init__()
        self.ahead = ahead
        self._most = most
        self._overflow = overflow
        self._whose = whose
        self.readers: list[Reader] = []
        self.full_at: int | None = None
        self.size = 0

    def reader(self) -> "Reader":
        """Return a new reader, for a `with` block."""
        return Reader(self)

    def look(self) -> None:
        """Recompute `full_at`: a reader has come or gone, or has begun or ended to send."""
        readers = self.readers
        if readers and all(reader.is_sending for reader in readers):
            self.full_at = max(reader.read for reader in readers) + self.ahead
            self.is_full = self.size > self.full_at
        else:
            self.full_at = None
            self.is_full = False
            if self.paused:  # unless the reader goes on to send at once, it waits for replies
                asyncio.get_running_loop().call_soon(self.resume)

    def came(self, promise: StreamedPromise[Any, Any], piece: Any) -> None:
        """Count a message that arrives: the tap of the replies.

        Raises:
            Problem: The replies are too large.
        """
        if not isinstance(piece, MessagePromise):
            return  # an error
        self._count(_PIECE)
        if piece.finished and piece.settled_error is None and not piece.pieces:
            for token in piece.settled_value.message_to_tokens():
                self.token_came(piece, token)
            return
        for early in piece.pieces:
            self.token_came(piece, early)
        piece.tap = self.token_came

    def token_came(self, promise: StreamedPromise[Any, Any], piece: Any) -> None:
        """Count a piece of a message that arrives: the tap of the messages.

        Raises:
            Problem: The replies are too large.
        """
        kind = type(piece)
        if kind is TextToken:  # the usual case, written out (benchmark `serving`)
            text: str = piece.content
            size = self.size + _PIECE + (len(text) if text.isascii() else weight(text) - _PIECE)
            if self.full_at is None and (self._most is None or size <= self._most):
                self.size = size
                return
        if kind is not Failure:
            self._count(weight(piece.content if kind is ReasoningToken else str(piece)))

    def _count(self, size: int) -> None:
        size += self.size
        if self._most is not None and size > self._most:
            text = f"The reply of {self._whose} is larger than {self._most} bytes."
            problem = Problem(500, text, code="reply_too_large", is_final=True)
            overflow, self._overflow = self._overflow, None
            if overflow is not None:
                overflow(problem)
            raise problem
        self.size = size
        if self.full_at is not None and size > self.full_at:
            self.is_full = True


class Reader:
    """One reader of the replies of a call.

    Args:
        reading: The replies.

    Attributes:
        read: Bytes that the reader has taken.
        is_sending: Whether the reader is sending. Then it does not wait for replies.
    """

    __slots__ = ("_reading", "is_sending", "read")

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.read = 0
        self.is_sending = False

    def took(self, text: str | None) -> None:
        """Count a piece with this text; None for the end of a message."""
        if text is None:
            self.read += _PIECE
        else:  # `weight`, written out (benchmark `serving`)
            self.read += _PIECE + len(text) if text.isascii() else weight(text)

    def begins_sending(self) -> None:
        """Note that the reader begins to send."""
        self.is_sending = True
        reading = self._reading
        if len(reading.readers) == 1:  # the usual case (benchmark `serving`)
            reading.full_at = full_at = self.read + reading.ahead
            reading.is_full = reading.size > full_at
        else:
            reading.look()

    def has_sent(self) -> None:
        """Note that the reader has sent."""
        self.is_sending = False
        reading = self._reading
        reading.is_full = False
        reading.full_at = None
        if reading.paused:
            reading.look()

    def __enter__(self) -> "Reader":
        self._reading.readers.append(self)
        self._reading.look()
        return self

    def __exit__(self, *_: object) -> None:
        self._reading.readers.remove(self)
        self._reading.look()


def weight(text: str) -> int:
    """Return the bytes that a piece takes in memory: its text and its overhead."""
    return _PIECE + (len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")))
