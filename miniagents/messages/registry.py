"""The registry of types: each has a tag, its name on the wire."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from miniagents.messages.fields import FieldType
from miniagents.messages.plans import Build


class MessageClass(Protocol):
    """A message class, as the codec sees it."""

    __qualname__: str
    __wire_tag__: str
    __message_fields__: dict[str, FieldType] | None
    __build_plan__: Build | None

    def __call__(self, **fields: object) -> object:
        """Make a message."""


class WireType(NamedTuple):
    """The wire format of a type that is defined above `messages`, such as a reference to an actor.

    Attributes:
        tag: The name of the type on the wire.
        to_wire: Makes plain data of a value.
        from_wire: Makes a value of plain data. Whatever it raises becomes a `DecodeError`.
    """

    tag: str
    to_wire: Callable[[Any], Any]
    from_wire: Callable[[Any], Any]


_messages: dict[str, MessageClass] = {}
_values: dict[str, type] = {}
_wire_types: dict[type, WireType] = {}
_wire_tags: dict[str, WireType] = {}


def register(cls: Any, tag: str | None) -> None:
    """Register a message class under its tag, in place of an earlier class with that tag.

    Args:
        cls: The class, a `MessageMeta` in the making.
        tag: Its tag; None for `default_tag`.
    """
    cls.__wire_tag__ = tag if tag is not None else default_tag(cls)
    _messages[cls.__wire_tag__] = cls


def default_tag(cls: type) -> str:
    """Return `module:qualname`; for the classes of this package `miniagents:qualname`.

    Modules of this package may move, so their names must not be part of stored bytes and keys.
    """
    module = cls.__module__
    return f"{'miniagents' if module.startswith('miniagents.') else module}:{cls.__qualname__}"


def message_class(tag: object) -> MessageClass | None:
    """Return the message class of a tag, or None."""
    return _messages.get(tag) if type(tag) is str else None


def message_classes() -> dict[str, Any]:
    """Return all message classes that are defined now, by their tags."""
    return dict(_messages)


def register_value_type(cls: type) -> None:
    """Register an enum or a frozen record, so that the codec can decode it.

    Types of the fields of messages are registered with the message class. Register those that travel in fields of type
    `Any`.

    Args:
        cls: The enum, or the class of frozen records.

    Example:
        >>> import enum
        >>> from miniagents.messages import register_value_type
        >>> class Colour(enum.Enum):
        ...     RED = "red"
        >>> register_value_type(Colour)
        >>> decode(encode(DataMessage({"colour": Colour.RED})))["colour"]
        <Colour.RED: 'red'>
    """
    _values[default_tag(cls)] = cls


def value_type(tag: object) -> type[Any] | None:
    """Return the enum or record of a tag, or None."""
    return _values.get(tag) if isinstance(tag, str) else None


def register_wire_type(cls: type, tag: str, to_wire: Callable[[Any], Any], from_wire: Callable[[Any], Any]) -> None:
    """Register the wire format of a type that is defined above `messages`, such as a reference to an actor.

    Args:
        cls: The type. Subclasses have the same format.
        tag: The name of the type on the wire.
        to_wire: Makes plain data (JSON's types, bytes, tuples) of a value.
        from_wire: Makes a value of plain data. Whatever it raises becomes a `DecodeError`.

    Example:
        >>> from miniagents.messages import register_wire_type
        >>> class Money:
        ...     __miniagents_immutable__ = True
        ...     def __init__(self, cents):
        ...         self.cents = cents
        >>> register_wire_type(Money, "shop.money", lambda money: money.cents, Money)
        >>> decode(encode(DataMessage({"price": Money(250)})))["price"].cents
        250
    """
    _wire_types[cls] = _wire_tags[tag] = WireType(tag, to_wire, from_wire)


def wire_type_of(value: object) -> WireType | None:
    """Return the wire format of a value, or None."""
    for kind in type(value).__mro__:
        if kind in _wire_types:
            return _wire_types[kind]
    return None


def wire_type(tag: object) -> WireType | None:
    """Return the wire format of a tag, or None."""
    return _wire_tags.get(tag) if isinstance(tag, str) else None
