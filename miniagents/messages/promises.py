"""`SafeMessagePromise`: a message promise whose failure is text."""

from collections.abc import AsyncIterator, Generator, Sequence
from typing import Any

from miniagents.messages.message import Message, MessagePromise
from miniagents.messages.standard import ErrorMessage, error_text
from miniagents.messages.tokens import TextToken, Token


class SafeMessagePromise(MessagePromise):
    """A message promise whose failure is text: the tokens so far, a newline and "ValueError: no such file". It
    resolves to an `ErrorMessage` then.

    Args:
        source: The promise that may fail.
    """

    __slots__ = ("_failed", "_quietly", "_source")

    def __init__(self, source: MessagePromise) -> None:
        self._failed: BaseException | None = None
        self._source = source
        self._quietly = False
        super().__init__(
            message_token_streamer=lambda _: self._tokens(),
            message_class=source.message_class,
            start_soon=False,
            **source.known_beforehand,
        )

    def start_whole(self) -> None:
        # A token that has been read is delivered, and the source cannot start again.
        self._quietly = self.stream_task is None and self._source.is_retractable
        super().start_whole()

    def __await__(self) -> Generator[Any, Any, Message]:
        if not self.done():
            self.start_whole()
        return super().__await__()

    async def _tokens(self) -> AsyncIterator[Token]:
        source = self._source
        try:
            if not self._quietly:
                async for token in source:
                    yield token
            message = await source
        except Exception as error:
            self._failed = error
            yield TextToken(f"\n{error_text(error)}")
        else:
            self.resolve(message)  # the same object, not a copy made of its tokens

    def _assembled(self, pieces: Sequence[Token]) -> Message:
        if self._failed is None:
            return super()._assembled(pieces)
        trace = getattr(self._failed, "agent_trace", ())
        return ErrorMessage("".join(map(str, pieces)), agent_trace=tuple(trace))
