"""Sendables: the values that can be sent, and the messages that they become."""

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, TypeAlias, Union

from miniagents.errors import NotSendableError
from miniagents.messages.frozen import FrozenDict
from miniagents.messages.message import Message, TextMessage
from miniagents.messages.standard import DataMessage
from miniagents.promising import Promise

Sendable: TypeAlias = Union[  # noqa: UP007 - forward references do not take `|`
    str,
    Mapping[str, Any],
    Message,
    Promise[Any],
    BaseException,
    Iterable["Sendable"],
    AsyncIterable["Sendable"],
]
"""A str, a dict, a message, a promise of a message or of a sequence, an exception (which is raised at its place, when
the reader gets there), and any nesting of iterables and async iterables of these."""


def to_message(value: object) -> Message:
    """Return the message that a str, a dict or a message becomes.

    Raises:
        NotSendableError: The value is none of these.
    """
    if isinstance(value, Message):
        return value
    if isinstance(value, str):
        return TextMessage(value)
    if isinstance(value, (dict, FrozenDict)):
        return DataMessage(value)
    raise NotSendableError(
        f"a {type(value).__name__} cannot be sent ({value!r}): send a str, a dict, a Message, a promise, an exception, "
        f"or an iterable or async iterable of these{hint(value)}"
    )


def hint(value: object) -> str:
    """Return the end of an error's text for a message class that was given instead of a message; "" for other
    values."""
    if isinstance(value, type) and issubclass(value, Message):
        return f"; that is the class: write {value.__name__}()"
    return ""
