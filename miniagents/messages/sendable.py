"""What can be sent, and what becomes of it."""

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, TypeAlias, Union

from miniagents.errors import NotSendableError
from miniagents.messages.frozen import FrozenDict
from miniagents.messages.message import Message
from miniagents.messages.standard import DataMessage, TextMessage
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
"""A str, a dict, a message, a promise of one or of a sequence of them, an exception (raised at the consumer, at its
place), and any nesting of iterables and async iterables of these."""


def to_message(value: Any) -> Message:
    """The message that a single sendable becomes.

    Raises:
        NotSendableError: It is none.
    """
    if isinstance(value, Message):
        return value
    if isinstance(value, str):
        return TextMessage(value)
    if isinstance(value, (dict, FrozenDict)):
        return DataMessage(value)  # type: ignore[arg-type]  # frozen at construction
    raise NotSendableError(
        f"a {type(value).__name__} cannot be sent ({value!r}): send a str, a dict, a Message, a promise, an exception, "
        f"or an iterable or async iterable of these{hint(value)}"
    )


def hint(value: object) -> str:
    """What to say of a message class that was given instead of a message; "" of anything else."""
    if isinstance(value, type) and issubclass(value, Message):
        return f"; that is the class: write {value.__name__}()"
    return ""
