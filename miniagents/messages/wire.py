"""The wire: messages as bytes and back. msgpack underneath; nothing is ever unpickled."""

import msgspec

from miniagents.errors import DecodeError, NotSendableError, UnencodableError
from miniagents.messages.codec import from_wire, to_wire
from miniagents.messages.message import Message

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def encode(message: Message) -> bytes:
    """A message as bytes.

    Raises:
        NotSendableError: It is no message, or holds something that cannot travel.
        UnencodableError: It holds a value that the wire cannot carry; the text names the field.
    """
    if not isinstance(message, Message):
        raise NotSendableError(f"encode() takes a Message, not {type(message).__name__} ({message!r})")
    try:
        return _pack(to_wire(message, type(message).__name__, 0))
    except RecursionError:
        raise UnencodableError(f"{type(message).__name__}: nested too deep to be encoded here") from None


def decode(data: bytes) -> Message:
    """The message that `encode` made these bytes of.

    Raises:
        DecodeError: They are no such bytes: truncated, hostile, of an unknown type, or with fields of wrong types.
    """
    try:
        message = from_wire(_unpack(data), 0)
    except DecodeError:
        raise
    except Exception as error:  # whatever hostile bytes make fail is one and the same to the caller
        raise DecodeError(f"these bytes are not a message: {type(error).__name__}: {error}") from error
    if not isinstance(message, Message):
        raise DecodeError(f"these bytes are a {type(message).__name__}, not a message")
    return message
