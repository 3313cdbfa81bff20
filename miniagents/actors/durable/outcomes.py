"""Outcomes: what a journal remembers of a message id whose message was handled, as bytes."""

import msgspec

from miniagents.errors import MiniAgentsError
from miniagents.messages.codec import from_wire, to_wire

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def encode_outcome(answer: object) -> bytes:
    """Encode an answer: a `Message`, None, or an exception that is an answer. None is b"".

    An answer that the wire cannot carry becomes the error that says so: the message was handled all the same.
    """
    if answer is None:
        return b""
    try:
        return _pack(to_wire(answer, type(answer).__name__, 0))
    except MiniAgentsError as error:
        return _pack(to_wire(error, "answer", 0))


def decode_outcome(outcome: bytes) -> object:
    """Return the answer that `encode_outcome` has made these bytes of.

    Raises:
        DecodeError: The answer has a type that is not defined in this process.
    """
    return from_wire(_unpack(outcome), 0) if outcome else None
