"""Content hashes: equal content gives equal keys in every process, on every machine and Python version.

The canonical encoding is that of the wire, with three differences: a nested message is replaced by its own key (a
Merkle tree), the keys of a `FrozenDict` and the members of a frozenset are sorted by their encoding, and of an
exception only the type and the text count.
"""

import hashlib
from typing import Any

import msgspec

from miniagents.errors import UnencodableError
from miniagents.messages.codec import DICT, EXCEPTION, FROZENSET, MESSAGE, TUPLE, to_wire
from miniagents.messages.fields import SCALARS
from miniagents.messages.frozen import MAX_DEPTH, check_int, check_str, is_frozen_dict
from miniagents.messages.meta import AnyMessage, fields_of, is_message
from miniagents.messages.plans import Flatten, flatten_plan

_pack = msgspec.msgpack.Encoder().encode
_sha256 = hashlib.sha256


def hash_key(message: AnyMessage) -> str:
    """Return the key of a message with its metadata."""
    try:
        return _planned_key(message, 0, True)
    except Exception:  # the code below fails with the same error, and says where the value is
        return _key(message, "hash_key", "", 0)


def content_key(message: AnyMessage) -> str:
    """Return the key of a message without metadata, at every depth."""
    try:
        return _planned_key(message, 0, False)
    except Exception:  # as above
        return _key(message, "content_key", "", 0)


def _planned_key(message: AnyMessage, depth: int, with_metadata: bool) -> str:
    cache = message.__dict__
    name = "hash_key" if with_metadata else "content_key"
    key: str | None = cache.get(name)
    if key is None:
        plan = type(message).__key_plan__ or _compile_plan(type(message))
        items = plan(message, depth, with_metadata)
        key = cache[name] = _sha256(_pack_items(items)).hexdigest()
    return key


def _compile_plan(cls: type[AnyMessage]) -> Flatten:
    head = repr([MESSAGE, cls.__wire_tag__])
    plan = flatten_plan(head, sorted(fields_of(cls)), f"[{TUPLE}, len(v)], *v,", _element)
    cls.__key_plan__ = plan
    return plan


def _pack_items(items: list[Any]) -> bytes:
    """Return the encodings of the items, one after the other: that of the list without its header."""
    header = 1 if len(items) < 16 else 3 if len(items) < 2**16 else 5
    return _pack(items)[header:]


def _element(value: Any, depth: int, with_metadata: bool) -> object:
    """Return what msgspec encodes as `_encode` does the value."""
    if depth >= MAX_DEPTH:  # at the limit itself, `_encode` decides
        raise UnencodableError(f"nested more than {MAX_DEPTH - 1} deep")
    if type(value) is tuple:
        if SCALARS.issuperset(map(type, value)):
            items = [[TUPLE, len(value)], *value]
        else:
            items = [[TUPLE, len(value)], *[_scalar_or_element(item, depth + 1, with_metadata) for item in value]]
        return msgspec.Raw(_pack_items(items))
    if is_message(value):
        return [MESSAGE, _planned_key(value, depth, with_metadata)]
    if is_frozen_dict(value):
        pairs = sorted(
            [
                (
                    _pack(_scalar_or_element(key, depth + 1, with_metadata)),
                    _pack(_scalar_or_element(item, depth + 1, with_metadata)),
                )
                for key, item in value.items()
            ]
        )
        return msgspec.Raw(_pack([DICT, len(pairs)]) + b"".join([part for pair in pairs for part in pair]))
    return msgspec.Raw(_encode(value, "hash_key" if with_metadata else "content_key", "", depth))


def _scalar_or_element(value: Any, depth: int, with_metadata: bool) -> object:
    return value if type(value) in SCALARS else _element(value, depth, with_metadata)


def _key(message: AnyMessage, name: str, where: str, depth: int) -> str:
    cache = message.__dict__
    key: str | None = cache.get(name)
    if key is None:
        key = cache[name] = _sha256(_encode_message(message, name, where, depth)).hexdigest()
    return key


def _encode_message(message: AnyMessage, name: str, where: str, depth: int) -> bytes:
    cls = type(message)
    with_metadata = name == "hash_key"
    where = where or cls.__name__
    parts = [
        _pack(field) + _encode(getattr(message, field), name, f"{where}.{field}", depth + 1)
        for field in sorted(cls.__struct_fields__)
        if field != "metadata" or (with_metadata and message.metadata)
    ]
    return _pack([MESSAGE, cls.__wire_tag__]) + b"".join(parts)


def _encode(value: object, name: str, where: str, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise UnencodableError(f"{where[:200]}...: nested more than {MAX_DEPTH} deep")
    if is_message(value):
        return _pack([MESSAGE, _key(value, name, where, depth)])
    kind = value.__class__
    if type(value) is str:
        check_str(value, where)
    elif type(value) is int:
        check_int(value, where)
    elif type(value) is tuple:
        items = [_encode(item, name, where, depth + 1) for item in value]
        return _pack([TUPLE, len(items)]) + b"".join(items)
    elif is_frozen_dict(value):
        pairs = sorted(
            (_encode(k, name, where, depth + 1), _encode(v, name, where, depth + 1)) for k, v in value.items()
        )
        return _pack([DICT, len(pairs)]) + b"".join(k + v for k, v in pairs)
    elif type(value) is frozenset:
        members = sorted(_encode(item, name, where, depth + 1) for item in value)
        return _pack([FROZENSET, len(members)]) + b"".join(members)
    elif isinstance(value, BaseException):
        return _pack([EXCEPTION, f"{kind.__module__}:{kind.__qualname__}", str(value)])
    return _pack(to_wire(value, where, depth))
