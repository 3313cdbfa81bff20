"""Tokens: the pieces of a message that streams, and the appender for them."""

from typing import Any

import msgspec

from miniagents.errors import NotSendableError
from miniagents.promising import StreamAppender


class Token(msgspec.Struct, frozen=True, gc=False):
    """The base of the pieces of a message that streams. `str(token)` is its text, "" if the token carries other data.

    Example:
        >>> class Progress(Token, frozen=True):
        ...     percent: int
        >>> str(Progress(50))
        ''
    """

    def __str__(self) -> str:
        return ""


class TextToken(Token, frozen=True, gc=False):
    """A piece of text.

    Example:
        >>> str(TextToken("Hello"))
        'Hello'
    """

    content: str = ""

    def __str__(self) -> str:
        return self.content


class ReasoningToken(Token, frozen=True, gc=False):
    """A piece of a model's reasoning, in the stream of its reply.

    It has no text for readers of the answer: `str(token)` is "".

    Attributes:
        content: The piece.

    Example:
        >>> token = ReasoningToken("It is")
        >>> print(repr(str(token)), token.content)
        '' It is
    """

    content: str = ""


class MessageTokenAppender(StreamAppender[Token]):
    """The source of the tokens of one message, filled by hand. It is open inside its `with` block and closed after it.

    Args:
        capture_errors: An exception in the block becomes the last piece of the stream instead of leaving the block.

    Attributes:
        metadata: A dict for fields and metadata of the message that are known only at the end, such as its usage.
            Change the dict, do not replace it.

    Example:
        >>> async with MiniAgents():
        ...     with MessageTokenAppender() as appender:
        ...         promise = MessagePromise(message_token_streamer=appender)
        ...         _ = appender.append("Hello, ").append("world")
        ...         appender.metadata["tokens"] = 2
        ...     message = await promise
        >>> print(message, message.metadata)
        Hello, world FrozenDict({'tokens': 2})
    """

    def __init__(self, capture_errors: bool = False) -> None:
        super().__init__(capture_errors=capture_errors)
        self.metadata: dict[str, Any] = {}

    def append(self, piece: Token | str) -> "MessageTokenAppender":
        """Append one token. A str becomes a `TextToken`.

        Raises:
            NotSendableError: The piece is neither a token nor a str.
            AppenderNotOpenError: The appender was never opened.
            AppenderClosedError: The appender was closed.
        """
        if isinstance(piece, str):
            piece = TextToken(piece)
        elif not isinstance(piece, Token):
            raise NotSendableError(f"a token is a Token or a str, not {type(piece).__name__} ({piece!r})")
        super().append(piece)
        return self
