"""Content hashes: equal content gives equal keys in every process, on every machine and Python version.

The canonical encoding is that of the wire, with three differences: a nested message is replaced by its own key (a
Merkle tree), the keys of a `FrozenDict` and the members of a frozenset are sorted by their encoding, and of an
exception only the type and the text count.
"""

import hashlib

import msgspec

from miniagents.errors import UnencodableError
from miniagents.messages.codec import DICT, EXCEPTION, FROZENSET, MESSAGE, TUPLE, to_wire
from miniagents.messages.frozen import MAX_DEPTH, check_int, check_str, is_frozen_dict
from miniagents.messages.meta import AnyMessage, is_message

_pack = msgspec.msgpack.Encoder().encode


def hash_key(message: AnyMessage) -> str:
    """Return the key of a message with its metadata."""
    return _key(message, "hash_key", "", 0)


def content_key(message: AnyMessage) -> str:
    """Return the key of a message without metadata, at every depth."""
    return _key(message, "content_key", "", 0)


def _key(message: AnyMessage, name: str, where: str, depth: int) -> str:
    cache = message.__dict__
    key: str | None = cache.get(name)
    if key is None:
        key = cache[name] = hashlib.sha256(_encode_message(message, name, where, depth)).hexdigest()
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
