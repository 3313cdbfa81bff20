"""The kinds of messages that everybody needs."""

from typing import Any

from miniagents.messages.frozen import FrozenDict
from miniagents.messages.message import Message, TextMessage, to_json
from miniagents.messages.tokens import TextToken, Token


class UserMessage(TextMessage):
    """What a user says."""

    role: str | None = "user"


class SystemMessage(TextMessage):
    """What a model is told beforehand."""

    role: str | None = "system"


class AssistantMessage(TextMessage):
    """What a model says."""

    role: str | None = "assistant"


class DataMessage(Message):
    """Free-form data: what a dict that is sent becomes. `message["key"]` reads it.

    Attributes:
        data: The data.
    """

    data: FrozenDict[Any, Any] = FrozenDict()

    def __getitem__(self, key: Any) -> Any:
        return self.data[key]

    def __str__(self) -> str:
        return to_json(self.data)


class ErrorMessage(TextMessage):
    """An exception that arrives as a message.

    Attributes:
        content: The name of its class and its text: `ValueError: what it said`.
        agent_trace: The agents that it came through, the one that raised it first.
    """

    agent_trace: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException, **fields: Any) -> "ErrorMessage":
        """The message that stands for an exception."""
        return cls(error_text(error), **fields)


def error_text(error: BaseException) -> str:
    """`ValueError: what it said`."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


__all__ = ["TextMessage", "TextToken", "Token"]
