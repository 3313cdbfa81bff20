"""Replies as a journal keeps them, and back."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from miniagents.agents.durable.records import key_of
from miniagents.errors import DecodeError
from miniagents.journal import KeepMessage, Operation, Reply, encoded
from miniagents.messages import Message, MessagePromise, TextMessage, TextToken, decode, encode
from miniagents.promising.streamed import Failure


class RecordedError(Message, tag="miniagents:RecordedError"):
    """An exception in a journal."""

    error: Any


def encoded_error(error: BaseException) -> bytes:
    """Return an exception as bytes: its class by name, its text, and its traceback as text."""
    return encode(RecordedError(error=error))


def decoded_error(data: bytes) -> BaseException:
    """Return an exception that a journal has kept: of its own class, if that is one of Python's, of this package, or
    registered by `miniagents.errors.register`; else a `RemoteError`."""
    try:
        message = decode(data)
    except DecodeError as error:
        return error
    assert isinstance(message, RecordedError)  # nothing else is kept as an error
    return message.error  # type: ignore[no-any-return]


def error_of(piece: Any) -> BaseException | None:
    """Return the exception that a reply has settled with; None for a message.

    Args:
        piece: The promise of the reply, which has settled, or a `Failure`.
    """
    error: BaseException | None = piece.error if type(piece) is Failure else piece.settled_error
    return error


def stored(piece: Any, inputs: int, limit: int) -> tuple[Reply, Operation[Any] | None]:
    """Return a reply as the journal keeps it.

    Args:
        piece: The promise of the reply, which has settled, or a `Failure`.
        inputs: How many input messages were complete when the reply settled.
        limit: The largest size of a message, in bytes.

    Returns:
        The reply, and what keeps its message; None for an exception.

    Raises:
        MessageTooLargeError: The message is larger.
        UnencodableError: The message has a value in it that cannot be kept.
    """
    error = error_of(piece)
    if error is not None:
        return Reply(b"", inputs, error=encoded_error(error)), None
    message: Message = piece.settled_value
    key = key_of(message)
    return Reply(key, inputs, _ends_of_tokens(piece.pieces, message)), KeepMessage(key, encoded(message, limit))


def restored(reply: Reply, bodies: Mapping[bytes, bytes]) -> MessagePromise | Failure:
    """Return a reply as it was: a promise that has resolved, with the same tokens, or an exception.

    Raises:
        DecodeError: The message is no message in this process.
    """
    if reply.error:
        return Failure(decoded_error(reply.error))
    body = bodies.get(reply.message)
    if body is None:
        raise DecodeError("the journal has lost the message of a reply")
    message = decode(body)
    promise = MessagePromise.of(message)
    if reply.tokens and isinstance(message, TextMessage):
        text = message.content
        promise.pieces = tuple(TextToken(text[start:end]) for start, end in pairwise((0, *reply.tokens)))
    return promise


def _ends_of_tokens(tokens: Sequence[Any], message: Message) -> tuple[int, ...]:
    """Return where the tokens of a text end, in characters; () if it was no stream of text alone."""
    if len(tokens) < 2 or not isinstance(message, TextMessage):
        return ()
    texts = [str(token) for token in tokens if type(token) in (TextToken, str)]
    if len(texts) < len(tokens) or "".join(texts) != message.content:
        return ()
    return tuple(accumulate(map(len, texts)))
