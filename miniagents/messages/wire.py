"""The wire: messages as bytes and back, in msgpack. Nothing is ever unpickled."""

from typing import Any

import msgspec

from miniagents.errors import DecodeError, NotSendableError, UnencodableError
from miniagents.messages.codec import DICT, MESSAGE, TUPLE, from_wire, to_wire, warn_of_main
from miniagents.messages.fields import SCALARS
from miniagents.messages.frozen import MAX_DEPTH, is_frozen_dict
from miniagents.messages.message import Message
from miniagents.messages.meta import AnyMessage, MessageMeta, fields_of, is_message
from miniagents.messages.plans import Flatten, flatten_plan

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
    try:
        return _pack(_message_to_wire(message, 0))
    except Exception:
        pass  # the code below fails with the same error, and says where the value is
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
        message: Any = from_wire(_unpack(data), 0)
    except DecodeError:
        raise
    except Exception as error:  # the caller need not tell the failures of hostile bytes apart
        raise DecodeError(f"these bytes are not a message: {type(error).__name__}: {error}") from error
    if type(type(message)) is not MessageMeta:  # `isinstance` takes longer
        raise DecodeError(f"these bytes are a {type(message).__name__}, not a message")
    return message  # type: ignore[no-any-return]


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


def _message_to_wire(message: AnyMessage, depth: int) -> list[Any]:
    plan = type(message).__wire_plan__ or _compile_plan(type(message))
    return plan(message, depth, True)


def _compile_plan(cls: type[AnyMessage]) -> Flatten:
    warn_of_main(cls)
    head = f"{MESSAGE}, {cls.__wire_tag__!r}"
    plan = flatten_plan(head, fields_of(cls), f"[{TUPLE}, *v],", _to_wire)
    cls.__wire_plan__ = plan
    return plan


def _to_wire(value: Any, depth: int, _: bool) -> object:
    """Return what `to_wire` does. The place of the value is not known, and msgspec refuses the scalars that cannot
    travel."""
    if type(value) in SCALARS:
        return value
    if depth > MAX_DEPTH:
        raise UnencodableError(f"nested more than {MAX_DEPTH} deep")
    if is_message(value):
        return _message_to_wire(value, depth)
    if type(value) is tuple:
        if SCALARS.issuperset(map(type, value)):
            return [TUPLE, *value]
        return [TUPLE, *[_to_wire(item, depth + 1, True) for item in value]]
    if is_frozen_dict(value):
        flat: list[object] = [DICT]
        for key, item in value.items():
            flat += (
                key if type(key) in SCALARS else _to_wire(key, depth + 1, True),
                item if type(item) in SCALARS else _to_wire(item, depth + 1, True),
            )
        return flat
    return to_wire(value, "", depth)
