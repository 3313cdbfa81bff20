"""Facts about values: their types, lengths and fields, without a call of any code of the user's."""

from itertools import islice
from types import MemberDescriptorType
from typing import Any

from miniagents.messages import FrozenDict, Message, TextMessage

FIELDS = 20
"""The most fields or items of a value that are shown."""
DEPTH = 3
"""The levels of a value that are shown."""
CHARACTERS = 2_000
"""The most characters of one text that are shown at once."""
_LARGEST_INT = 256
"""The most bits of a number that is shown: the digits of a huge one take minutes."""

_MAPPINGS = (dict, FrozenDict)
_COLLECTIONS = (list, tuple, set, frozenset)
_name = type.__dict__["__name__"].__get__
_mro = type.__dict__["__mro__"].__get__

Fact = dict[str, Any]
"""The facts about a value: `kind`, the name of its type; and of `value`, `size`, `text`, `fields`, `items`, `cut`."""


def kind_of(value: object) -> str:
    """Return the name of a value's type.

    Args:
        value: The value. Neither its `__class__` nor its metaclass is asked.
    """
    name: str = _name(type(value))
    return name


def is_message(value: object) -> bool:
    """Return True if a value is a message."""
    return Message in _mro(type(value))


def fields_of(value: object) -> dict[str, Any]:
    """Return the fields that a value keeps in slots, as messages do, without a call of properties.

    Args:
        value: The value.
    """
    fields: dict[str, Any] = {}
    for cls in reversed(_mro(type(value))):
        for name, member in type.__dict__["__dict__"].__get__(cls).items():
            if type(member) is MemberDescriptorType and not name.startswith("__"):
                try:
                    fields[name] = member.__get__(value)
                except AttributeError:
                    continue  # a slot that is empty
    return fields


def text_of(value: object) -> str | None:
    """Return the text of a message, or a text itself; None for everything else.

    Args:
        value: The value.
    """
    kind = type(value)
    if kind is str:
        return value  # type: ignore[return-value]
    if kind is TextMessage:
        return value.content  # type: ignore[attr-defined,no-any-return]
    if TextMessage in _mro(type(value)):
        content = fields_of(value).get("content")
        return content if type(content) is str else None
    return None


def facts_of(value: object, depth: int = DEPTH) -> Fact:
    """Return the facts about a value.

    Args:
        value: Anything. No method, property or `__repr__` of it is called, so that it may do whatever it likes.
        depth: The number of levels that are shown, 0 or more.

    Example:
        >>> facts_of(TextMessage("hello"))["fields"]["content"]
        {'kind': 'str', 'size': 5, 'text': 'hello'}
        >>> class Key:
        ...     def __repr__(self):
        ...         raise RuntimeError("asked for its key")
        >>> facts_of(Key())
        {'kind': 'Key'}
    """
    kind = type(value)
    fact: Fact = {"kind": kind_of(value)}
    if value is None or kind is bool or kind is float:
        fact["value"] = value
    elif kind is int:
        bits = int.bit_length(value)  # type: ignore[arg-type]
        fact |= {"value": value} if bits <= _LARGEST_INT else {"size": bits, "cut": True}
    elif kind is str:
        _add_text(fact, value)  # type: ignore[arg-type]
    elif kind in (bytes, bytearray):
        fact["size"] = len(value)  # type: ignore[arg-type]
    elif kind in _MAPPINGS:
        _add_items(fact, value, depth)
    elif kind in _COLLECTIONS:
        fact["size"] = len(value)  # type: ignore[arg-type]
        if depth:
            fact["items"] = [facts_of(item, depth - 1) for item in islice(value, FIELDS)]  # type: ignore[call-overload]
            fact |= {"cut": True} if fact["size"] > FIELDS else {}
    elif is_message(value) and depth:
        fields = fields_of(value)
        fact["fields"] = {name: facts_of(fields[name], depth - 1) for name in list(fields)[:FIELDS]}
    return fact


def _add_text(fact: Fact, text: str) -> None:
    fact["size"] = len(text)
    fact["text"] = text[:CHARACTERS]
    if len(text) > CHARACTERS:
        fact["cut"] = True


def _add_items(fact: Fact, mapping: Any, depth: int) -> None:
    fact["size"] = len(mapping)
    if depth:
        first = list(islice(mapping.items(), FIELDS))
        fact["fields"] = {
            key[:CHARACTERS] if type(key) is str else f"<{kind_of(key)}>": facts_of(value, depth - 1)
            for key, value in first
        }
        if fact["size"] > FIELDS:
            fact["cut"] = True
