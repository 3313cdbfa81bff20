"""The names of types on the wire, and the types of names."""

from collections.abc import Callable
from typing import Any, NamedTuple


class WireType(NamedTuple):
    """How values of a type that lives above messages travel.

    Attributes:
        tag: Its name on the wire.
        to_wire: Makes plain data of a value.
        from_wire: Makes a value of plain data; whatever it raises is a `DecodeError`.
    """

    tag: str
    to_wire: Callable[[Any], Any]
    from_wire: Callable[[Any], Any]


_messages: dict[str, type] = {}
_values: dict[str, type] = {}
_wire_types: dict[type, WireType] = {}
_wire_tags: dict[str, WireType] = {}


def register(cls: Any, tag: str | None) -> None:
    """Make a message class known under its tag; a redefinition takes the place of what was there."""
    cls.__wire_tag__ = tag if tag is not None else default_tag(cls)
    _messages[cls.__wire_tag__] = cls


def default_tag(cls: type) -> str:
    """`module:qualname`; for the classes of this package `miniagents:qualname`, so that none of its modules, which may
    move, stands in stored bytes and in keys."""
    module = cls.__module__
    return f"{'miniagents' if module.startswith('miniagents.') else module}:{cls.__qualname__}"


def message_class(tag: object) -> Any:
    """The message class of a tag, or None."""
    return _messages.get(tag) if isinstance(tag, str) else None


def register_value_type(cls: type) -> None:
    """Make an enum or a frozen record known to the codec. Fields of message classes do that by themselves; it is for
    those that travel in fields typed `Any`."""
    _values[default_tag(cls)] = cls


def value_type(tag: object) -> Any:
    """The enum or record of a tag, or None."""
    return _values.get(tag) if isinstance(tag, str) else None


def register_wire_type(cls: type, tag: str, to_wire: Callable[[Any], Any], from_wire: Callable[[Any], Any]) -> None:
    """Say how values of a type that lives above messages (a reference to an actor) travel.

    Args:
        cls: The type; subclasses are included.
        tag: Its name on the wire.
        to_wire: Makes plain data (JSON's types, bytes, tuples) of a value.
        from_wire: Makes a value of it again. Whatever it raises becomes a `DecodeError`.
    """
    _wire_types[cls] = _wire_tags[tag] = WireType(tag, to_wire, from_wire)


def wire_type_of(value: Any) -> WireType | None:
    """How a value travels, or None."""
    for kind in type(value).__mro__:
        if kind in _wire_types:
            return _wire_types[kind]
    return None


def wire_type(tag: object) -> WireType | None:
    """The wire type of a tag, or None."""
    return _wire_tags.get(tag) if isinstance(tag, str) else None
