"""Messages as plain JSON: those of requests, and those of replies."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from miniagents.errors import OutputError, UnencodableError
from miniagents.ext.llms.messages import ReplyMessage, ToolResultMessage
from miniagents.ext.llms.metering import Meter
from miniagents.ext.llms.sound import sound_message
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem
from miniagents.messages import (
    AssistantMessage,
    DataMessage,
    ErrorMessage,
    Message,
    SystemMessage,
    TextMessage,
    UserMessage,
)
from miniagents.messages.message import to_json

_KINDS: dict[str | None, type[TextMessage]] = {
    None: TextMessage,
    "user": UserMessage,
    "system": SystemMessage,
    "assistant": AssistantMessage,
}


class MessageIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message to an agent: text with a role, or data.

    Attributes:
        content: The text.
        role: The role of the speaker, or null.
        data: Data, in place of a text.
    """

    content: str | UnsetType = UNSET
    role: Literal["user", "system", "assistant"] | None = None
    data: dict[str, Any] | UnsetType = UNSET

    def message(self, param: str) -> Message:
        """Return the message.

        Args:
            param: The field of the request, for errors.

        Raises:
            Problem: 422: the message has neither content nor data, or both, or data that no message can hold.
        """
        if isinstance(self.data, dict) and self.content is UNSET and self.role is None:
            try:
                return DataMessage(self.data)
            except UnencodableError as error:
                raise Problem(422, f"{error} ({param}.data)", param=f"{param}.data", code="invalid") from None
        if isinstance(self.content, str) and self.data is UNSET:
            return _KINDS[self.role](self.content)
        raise Problem(422, f"A message must have content, with or without a role, or data ({param})", param=param)


class MessageOut(msgspec.Struct, frozen=True):
    """A message of an agent.

    Attributes:
        type: The name of its class.
        text: The text; "" for structured output, which is in `data`.
        role: The role of the speaker, or null.
        kind: The kind: text, data, an error that is a message, tool calls, or the result of a tool.
        data: The structured output, or the other fields of the message without its metadata; absent if there are none.
    """

    type: str
    text: str
    role: str | None = None
    kind: Literal["text", "data", "error", "tool_calls", "tool_result"] = "text"
    data: msgspec.Raw | UnsetType = UNSET

    @classmethod
    def of(cls, message: Message) -> "MessageOut":
        """Return a message as JSON."""
        message = sound_message(message)
        if isinstance(message, ReplyMessage) and (output := _output(message)) is not None:
            return cls(type(message).__name__, "", message.role, "data", msgspec.Raw(output))
        data: str | None = None
        if isinstance(message, DataMessage):
            data = to_json(message.data)
        else:
            names = [name for name in message.__struct_fields__ if name not in ("content", "role", "metadata")]
            if (names and not isinstance(message, TextMessage)) or any(_has_value(message, name) for name in names):
                data = to_json({name: getattr(message, name) for name in names})
        role = getattr(message, "role", None)
        return cls(
            type(message).__name__,
            str(message),
            role if isinstance(role, str) else None,
            _kind(message),
            msgspec.Raw(data.encode()) if data is not None else UNSET,
        )


class UsageOut(msgspec.Struct, frozen=True):
    """The usage of all models below a call.

    Attributes:
        input_tokens: Tokens read.
        output_tokens: Tokens written.
        cached_tokens: The input tokens that came from a cache.
        cost: The cost in USD; null if it is not known, since a model without a price has been used.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: float | None

    @classmethod
    def of(cls, meter: Meter) -> "UsageOut":
        """Return the usage that a meter shows."""
        cost = round(meter.cost, 9) if meter.cost is not None else None
        return cls(meter.input_tokens, meter.output_tokens, meter.cached_tokens, cost)


def messages_in(entries: str | list[str | MessageIn], limits: Limits) -> tuple[Message, ...]:
    """Return the messages of a request.

    Args:
        entries: A text, or texts and messages.
        limits: The limit of messages.

    Raises:
        Problem: 400: there are too many; 422: a message is wrong.
    """
    if isinstance(entries, str):
        return (UserMessage(entries),)
    check_count(len(entries), limits)
    return tuple(
        UserMessage(entry) if isinstance(entry, str) else entry.message(f"messages[{number}]")
        for number, entry in enumerate(entries)
    )


def check_count(count: int, limits: Limits, param: str = "messages") -> None:
    """Check the number of messages.

    Raises:
        Problem: 400: there are too many.
    """
    if count > limits.messages:
        raise Problem(
            400, f"There are more than {limits.messages} messages ({param})", param=param, code="too_many_messages"
        )


def _kind(message: Message) -> Literal["text", "data", "error", "tool_calls", "tool_result"]:
    match message:
        case ToolResultMessage():
            return "tool_result"
        case ReplyMessage(tool_calls=calls) if calls:
            return "tool_calls"
        case ErrorMessage():
            return "error"
        case TextMessage():
            return "text"
        case _:
            return "data"


def _output(message: ReplyMessage) -> bytes | None:
    """Return the structured output of a reply as JSON, or None."""
    if message.tool_calls or "output_type" not in message.metadata:
        return None
    try:
        return message.output_json
    except OutputError:
        return None  # for example the text beside tool calls


def _has_value(message: Message, name: str) -> bool:
    """Return whether a field of a text message has a value."""
    return getattr(message, name) not in (None, (), "", False)
