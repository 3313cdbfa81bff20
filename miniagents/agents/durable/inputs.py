"""`LiveInput`: the messages that come with a call, as keys that can be compared with recorded ones."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from miniagents.messages import Message, MessagePromise, MessageSequencePromise
from miniagents.messages.standard import error_text
from miniagents.promising.streamed import Failure

ENDED = -1
"""In the place of a number of messages: all of them, and the end of the input."""


class LiveInput:
    """The keys of the messages that have come so far, in their order. An exception among them has a key, too.

    Args:
        messages: The messages of the call.

    Attributes:
        keys: The content keys of the messages that are complete.
        has_ended: Whether these are all.
    """

    __slots__ = ("_messages", "_pending", "_pulled", "_reader", "has_ended", "keys")

    def __init__(self, messages: MessageSequencePromise) -> None:
        self.keys: list[bytes] = []
        self.has_ended = False
        self._messages = messages
        self._reader: AsyncIterator[MessagePromise] | None = None
        self._pending: MessagePromise | None = None
        self._pulled = 0

    def look(self) -> None:
        """Take in what has come, without waiting."""
        pieces: Sequence[Any] = self._messages.pieces
        while len(self.keys) < len(pieces):
            piece = pieces[len(self.keys)]
            if type(piece) is Failure:
                self.keys.append(_key_of_error(piece.error))
            elif piece.settled_error is not None:
                self.keys.append(_key_of_error(piece.settled_error))
            elif piece.done():
                self.keys.append(_key_of(piece.settled_value))
            else:
                return
        self.has_ended = self._messages.finished

    @property
    def complete(self) -> int:
        """The number of messages that are complete, `ENDED` if they are all."""
        self.look()
        return ENDED if self.has_ended else len(self.keys)

    async def more(self) -> None:
        """Wait until another message is complete, or the input has ended. Nothing is lost if this is cancelled."""
        came = len(self.keys)
        self.look()
        while len(self.keys) == came and not self.has_ended:
            try:
                await self._wait_for_next()
            except StopAsyncIteration:
                pass
            except Exception:
                self._pending = None  # `look` takes the error in
            self.look()

    async def _wait_for_next(self) -> None:
        if self._reader is None:
            self._reader = aiter(self._messages)
        while self._pulled <= len(self.keys):
            self._pulled += 1
            self._pending = None
            try:
                self._pending = await anext(self._reader)
            except StopAsyncIteration:
                raise
            except Exception:
                return  # an exception in the place of a message
            except BaseException:
                self._pulled -= 1
                raise
        if self._pending is not None:
            await self._pending
            self._pending = None


def _key_of(message: Message) -> bytes:
    return bytes.fromhex(message.content_key)


def _key_of_error(error: BaseException) -> bytes:
    return hashlib.sha256(f"error {error_text(error)}".encode(errors="replace")).digest()
