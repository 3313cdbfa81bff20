"""Encoded messages as JSON for people, without their classes: no class is looked up and no code of a user's runs, so a
process shows types that it does not know, too."""

from typing import Any

import msgspec

from miniagents.messages.codec import (
    DATE,
    DATETIME,
    DECIMAL,
    DICT,
    ENUM,
    EXCEPTION,
    FROZENSET,
    MESSAGE,
    RECORD,
    TIME,
    TUPLE,
)

TEXT = 4096
"""Characters of a text that are shown at most."""

ITEMS = 100
"""Items of a tuple or dict that are shown at most."""

_DEPTH = 12

_PLAIN = (bool, int, float, type(None))
_FIRST = (DATETIME, DATE, TIME, DECIMAL)  # one text says it all; a tuple, since a foreign code may have no hash


def shown(body: bytes, *, text: int = TEXT) -> Any:
    """Return what is in encoded bytes, in the types of JSON, with limits.

    Args:
        body: An encoded message or value. Bytes that are none are shown as text, or by their number.
        text: Characters of a text that are shown at most, 1 or more.

    Example:
        >>> from miniagents.messages import encode
        >>> shown(encode(TextMessage("Publish it?")))
        {'type': 'miniagents:TextMessage', 'content': 'Publish it?', 'role': None}
        >>> shown(b"bob")
        'bob'
    """
    try:
        value = msgspec.msgpack.decode(body)
    except (RecursionError, ValueError):
        value = None
    if isinstance(value, list):
        return _value(value, text, 0)
    try:
        return _cut(body.decode(), text) if body else ""
    except UnicodeDecodeError:
        return _bytes(body)


def _value(value: Any, text: int, depth: int) -> Any:
    if isinstance(value, str):
        return _cut(value, text)
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, _PLAIN):
        return value
    if not isinstance(value, list) or not value or depth > _DEPTH:
        return f"<{type(value).__name__}>"
    code, *rest = value
    below = depth + 1
    if code in (MESSAGE, RECORD) and rest:
        return {"type": _value(rest[0], text, below), **_fields(rest[1:], text, below)}
    if code == DICT:
        return _fields(rest, text, below)
    if code in (TUPLE, FROZENSET):
        items = [_value(item, text, below) for item in rest[:ITEMS]]
        return items if len(rest) <= ITEMS else [*items, f"<{len(rest) - ITEMS:,} more>"]
    if code in _FIRST and rest:
        return _value(rest[0], text, below)
    if code == EXCEPTION and len(rest) > 1:
        return _cut(f"{rest[0]}: {rest[1]}", text)
    if code == ENUM and len(rest) > 1:
        return _cut(f"{rest[0]}.{rest[1]}", text)
    return [_value(item, text, below) for item in rest[:ITEMS]]


def _fields(flat: list[Any], text: int, depth: int) -> dict[str, Any]:
    names = flat[: 2 * ITEMS : 2]
    fields = {
        _cut(str(name), text): _value(value, text, depth)
        for name, value in zip(names, flat[1 : 2 * ITEMS : 2], strict=False)
    }
    if len(flat) > 2 * ITEMS:
        fields["..."] = f"<{len(flat) // 2 - ITEMS:,} more>"
    return fields


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... <{len(text):,} characters>"


def _bytes(value: bytes) -> str:
    return f"<{len(value):,} bytes>"
