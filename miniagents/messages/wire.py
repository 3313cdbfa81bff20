"""The wire: messages as bytes and back, in msgpack. Nothing is ever unpickled."""

import msgspec

from miniagents.errors import DecodeError, NotSendableError, UnencodableError
from miniagents.messages.codec import from_wire, to_wire
from miniagents.messages.message import Message

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def encode(message: Message) -> bytes:
    """Encode a message.

    Returns:
        Bytes that `decode` takes, in this or another process that has the class of the message.

    Raises:
        NotSendableError: The argument is no message, or has a value in it that cannot travel.
        UnencodableError: The message has a value in it that the wire cannot carry; the text names the field.

    Example:
        >>> decode(encode(TextMessage("hello")))
        TextMessage(content='hello', role=None, metadata=FrozenDict({}))
    """
    if not isinstance(message, Message):
        raise NotSendableError(f"encode() takes a Message, not {type(message).__name__} ({message!r})")
    try:
        return _pack(to_wire(message, type(message).__name__, 0))
    except RecursionError:
        raise UnencodableError(f"{type(message).__name__}: nested too deep to be encoded here") from None


def decode(data: bytes) -> Message:
    """Decode the bytes that `encode` has made of a message. No bytes make a module be imported, or code run.

    Raises:
        DecodeError: The bytes are not of a message: truncated, hostile, of an unknown class, or with fields of wrong
            types.

    Example:
        >>> decode(b"hello")
        Traceback (most recent call last):
        miniagents.errors.DecodeError: ...
    """
    try:
        message = from_wire(_unpack(data), 0)
    except DecodeError:
        raise
    except Exception as error:  # the caller need not tell the failures of hostile bytes apart
        raise DecodeError(f"these bytes are not a message: {type(error).__name__}: {error}") from error
    if not isinstance(message, Message):
        raise DecodeError(f"these bytes are a {type(message).__name__}, not a message")
    return message


def field_sizes(message: Message) -> dict[str, int]:
    """Return how many bytes each field of a message takes on the wire.

    Raises:
        UnencodableError: The message has a value in it that the wire cannot carry.

    Example:
        >>> field_sizes(TextMessage("hello"))
        {'content': 6, 'role': 1, 'metadata': 2}
    """
    name = type(message).__name__
    return {
        field: len(_pack(to_wire(getattr(message, field), f"{name}.{field}", 1)))
        for field in type(message).__struct_fields__
    }
