"""The message classes of every program: what users, models and systems say, data, and errors."""

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from miniagents.messages.frozen import FrozenDict
from miniagents.messages.message import Message, to_json
from miniagents.messages.message import TextMessage as TextMessage  # others import it from here


class UserMessage(TextMessage):
    """A message of a user to a model.

    Example:
        >>> UserMessage("How are you?").role
        'user'
    """

    role: str | None = "user"


class SystemMessage(TextMessage):
    """An instruction to a model.

    Example:
        >>> SystemMessage("Answer in one word.").role
        'system'
    """

    role: str | None = "system"


class AssistantMessage(TextMessage):
    """A message of a model.

    Example:
        >>> AssistantMessage("Fine, thanks.").role
        'assistant'
    """

    role: str | None = "assistant"


class DataMessage(Message):
    """Free-form data. A dict that is sent becomes a `DataMessage`; `message["key"]` reads it.

    Attributes:
        data: The data, deeply frozen.

    Example:
        >>> message = DataMessage({"name": "Ada", "tags": ["maths"]})
        >>> message["tags"]
        ('maths',)
        >>> print(message)
        {"name":"Ada","tags":["maths"]}
    """

    data: Mapping[Any, Any] = FrozenDict()

    def __getitem__(self, key: Hashable) -> Any:
        return self.data[key]

    def __str__(self) -> str:
        return to_json(self.data)

    if not TYPE_CHECKING:  # type checkers would take each name for an attribute

        def __getattr__(self, name: str) -> NoReturn:
            # called only for an attribute that is not there; `data` always is, in a copy that is being made as well
            hint = f"; its data is read by message[{name!r}]" if name in self.data else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)


class ErrorMessage(TextMessage):
    """An exception that arrives as a message, where `errors_as_messages` is on.

    Attributes:
        content: The name of the class and the text of the exception: "ValueError: no such file".
        agent_trace: The aliases of the agents that the exception came through; the agent that raised it comes first.

    Example:
        >>> print(ErrorMessage.of(ValueError("no such file")))
        ValueError: no such file
    """

    agent_trace: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException, **fields: Any) -> "ErrorMessage":
        """Make the message of an exception.

        Args:
            error: The exception.
            **fields: Other fields of the message.
        """
        return cls(error_text(error), **fields)


def said_by(error: BaseException) -> str:
    """Return the text of an exception; where its own code for that fails, a text that says so."""
    try:
        return str(error)
    except Exception as failure:
        return f"its __str__ has raised {type(failure).__name__}"


def error_text(error: BaseException) -> str:
    """Return the name of the class and the text of an exception: "ValueError: no such file"."""
    text = said_by(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
