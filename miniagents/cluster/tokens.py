"""Messages that stream from another node, token by token."""

from collections.abc import Sequence
from typing import Any

from miniagents.cluster import items
from miniagents.errors import DecodeError
from miniagents.messages import Message, MessagePromise, TextMessage, TextToken, Token
from miniagents.messages.registry import message_class
from miniagents.promising import StreamedPromise
from miniagents.promising.promise import NO_VALUE


class RemoteMessagePromise(MessagePromise):
    """The promise of a message whose tokens come from another node. The message itself comes at the end, as it is
    there.

    Args:
        tag: The tag of the class of the message. One that is not known here is a `TextMessage` until the end.
        known_beforehand: What is known of the message beforehand.
    """

    __slots__ = ("_message",)

    def __init__(self, tag: object, known_beforehand: Any) -> None:
        StreamedPromise.__init__(self)
        kind: Any = message_class(tag)
        self.message_class = kind if kind is not None else TextMessage
        self.known_beforehand = known_beforehand
        self._message: Any = NO_VALUE

    def end_with(self, message: Message) -> None:
        """End the stream: this is the message."""
        self._message = message
        self.end_stream()

    def _assembled(self, pieces: Sequence[Token]) -> Message:
        return self._message  # type: ignore[no-any-return]


def token_to_wire(token: Token | str) -> Any:
    """Return a token as plain data: a text token as its text. A streamer may give a bare text instead of a token."""
    return token.content if type(token) is TextToken else [items.value_to_wire(token, "token")]


def token_from_wire(data: Any) -> Any:
    """Return the token of plain data.

    Raises:
        DecodeError: The data are not those of a token.
    """
    if type(data) is str:
        return TextToken(data)
    token = items.value_from_wire(data[0]) if type(data) is list and data else None
    if not isinstance(token, (Token, str)):
        raise DecodeError(f"a {type(token).__name__} where a token should be")
    return token
