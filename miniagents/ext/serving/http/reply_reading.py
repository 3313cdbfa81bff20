"""What comes back of a call: how large it is, and how far its readers are."""

import asyncio
from collections.abc import Callable
from typing import Any

from miniagents.ext.serving.http.problems import Problem
from miniagents.messages import MessagePromise, TextToken
from miniagents.promising import Flow, StreamedPromise
from miniagents.promising.streamed import Failure

_PIECE = 100
"""Bytes that a piece of a message takes in memory besides its text, and a message besides its pieces."""


class Reading(Flow):
    """The replies of one call, as they come and as they are read.

    Streams below the call pause while all its readers are busy with sending, and the furthest of them is more than
    `ahead` bytes behind. A reader that waits for something to read holds up nothing, and neither does a call that
    nobody reads.

    Args:
        ahead: Bytes that may wait for readers that are behind, 0 or more.
        most: Bytes that may come in all, 1 or more; None for no limit.
        overflow: Called once with what the call is to end with, when more comes; None for nothing.
        whose: Whose replies they are, for the text of that.

    Attributes:
        ahead: The bytes that may wait for readers that are behind.
        full_at: The size above which it is full, as the readers are now; None while it cannot be full.
        readers: Those that read now.
        size: Bytes that have come; see `weight`.
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
        """A reader, which reads in a `with` block."""
        return Reader(self)

    def look(self) -> None:
        """A reader has come, gone, begun to send or ended it."""
        readers = self.readers
        if readers and all(reader.is_sending for reader in readers):
            self.full_at = max(reader.read for reader in readers) + self.ahead
            self.is_full = self.size > self.full_at
        else:
            self.full_at = None
            self.is_full = False
            if self.has_paused:  # unless the reader sends on at once, it waits for something to read
                asyncio.get_running_loop().call_soon(self.resume)

    def came(self, promise: StreamedPromise[Any, Any], piece: Any) -> None:
        """A message comes: the tap of the replies.

        Raises:
            Problem: It is too much.
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
        """A piece of a message comes: the tap of the messages.

        Raises:
            Problem: It is too much.
        """
        kind = type(piece)
        if kind is TextToken:  # the usual case, written out (benchmark `serving`)
            text: str = piece.content
            size = self.size + _PIECE + (len(text) if text.isascii() else weight(text) - _PIECE)
            if self.full_at is None and (self._most is None or size <= self._most):
                self.size = size
                return
        if kind is not Failure:
            self._count(weight(str(piece)))

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
    """One reader of a call.

    Args:
        reading: What it reads.

    Attributes:
        read: Bytes that it has taken.
        is_sending: Whether it hands on what it has taken, and so waits for nothing else.
    """

    __slots__ = ("_reading", "is_sending", "read")

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.read = 0
        self.is_sending = False

    def took(self, text: str | None) -> None:
        """It has taken a piece with this text, or, with None, a message."""
        self.read += _PIECE if text is None else weight(text)

    def begins_sending(self) -> None:
        """It begins to hand on what it has taken."""
        self.is_sending = True
        reading = self._reading
        if len(reading.readers) == 1:  # the usual case (benchmark `serving`)
            reading.full_at = full_at = self.read + reading.ahead
            reading.is_full = reading.size > full_at
        else:
            reading.look()

    def has_sent(self) -> None:
        """It has handed it on."""
        self.is_sending = False
        reading = self._reading
        reading.is_full = False
        reading.full_at = None
        if reading.has_paused:
            reading.look()

    def __enter__(self) -> "Reader":
        self._reading.readers.append(self)
        self._reading.look()
        return self

    def __exit__(self, *_: object) -> None:
        self._reading.readers.remove(self)
        self._reading.look()


def weight(text: str) -> int:
    """Bytes that a piece takes: its text, and what it takes besides."""
    return _PIECE + (len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")))
