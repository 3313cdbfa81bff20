"""Tokens: the pieces of a message that streams, and the appender that takes them."""

from typing import Any

import msgspec

from miniagents.errors import NotSendableError
from miniagents.promising import StreamAppender


class Token(msgspec.Struct, frozen=True, gc=False):
    """A piece of a message that streams. `str(token)` is its text; one without text carries something else."""

    def __str__(self) -> str:
        return ""


class TextToken(Token, frozen=True, gc=False):
    """A piece of text."""

    content: str = ""

    def __str__(self) -> str:
        return self.content


class MessageTokenAppender(StreamAppender[Token]):
    """The tokens of one message, put in by hand.

    Attributes:
        metadata: A dict for fields and metadata that are known only at the end (usage). Change it, do not replace it.
    """

    def __init__(self, capture_errors: bool = False) -> None:
        super().__init__(capture_errors=capture_errors)
        self.metadata: dict[str, Any] = {}

    def append(self, piece: Token | str) -> "MessageTokenAppender":
        """Put one token in; a str becomes a `TextToken`."""
        if isinstance(piece, str):
            piece = TextToken(piece)
        elif not isinstance(piece, Token):
            raise NotSendableError(f"a token is a Token or a str, not {type(piece).__name__} ({piece!r})")
        super().append(piece)
        return self
