"""Messages as plain JSON, in and out."""

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
    """A message to an agent: text and who says it, or data.

    Attributes:
        content: The text.
        role: Who says it.
        data: Data instead of text.
    """

    content: str | UnsetType = UNSET
    role: Literal["user", "system", "assistant"] | None = None
    data: dict[str, Any] | UnsetType = UNSET

    def message(self, param: str) -> Message:
        """The message.

        Raises:
            Problem: 422: it has neither content nor data, or both, or data that no message can hold.
        """
        if isinstance(self.data, dict) and self.content is UNSET and self.role is None:
            try:
                return DataMessage(self.data)
            except UnencodableError as error:
                raise Problem(422, f"{error} ({param}.data)", param=f"{param}.data", code="invalid") from None
        if isinstance(self.content, str) and self.data is UNSET:
            return _KINDS[self.role](self.content)
        raise Problem(422, f"A message has content, with or without a role, or data ({param})", param=param)


class MessageOut(msgspec.Struct, frozen=True):
    """A message of an agent.

    Attributes:
        type: The name of its class.
        text: Its text; "" for structured output, which is `data`.
        role: Who says it, or null.
        kind: What it is: text, data, a failure that the agent tells of, tool calls, or the result of one.
        data: Its structured output, or its other fields, without its metadata; not there if it has none.
    """

    type: str
    text: str
    role: str | None = None
    kind: Literal["text", "data", "error", "tool_calls", "tool_result"] = "text"
    data: msgspec.Raw | UnsetType = UNSET

    @classmethod
    def of(cls, message: Message) -> "MessageOut":
        """A message as it goes out."""
        message = sound_message(message)
        if isinstance(message, ReplyMessage) and (output := _output(message)) is not None:
            return cls(type(message).__name__, "", message.role, "data", msgspec.Raw(output))
        data: str | None = None
        if isinstance(message, DataMessage):
            data = to_json(message.data)
        else:
            names = [name for name in message.__struct_fields__ if name not in ("content", "role", "metadata")]
            if (names and not isinstance(message, TextMessage)) or any(_is_given(message, name) for name in names):
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
    """What all models below a call used.

    Attributes:
        input_tokens: Tokens read.
        output_tokens: Tokens written.
        cached_tokens: Those of the input that came from a cache.
        cost: In USD, as far as the models have a price.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: float

    @classmethod
    def of(cls, meter: Meter) -> "UsageOut":
        """What a meter shows."""
        return cls(meter.input_tokens, meter.output_tokens, meter.cached_tokens, round(meter.cost, 9))


def messages_in(given: str | list[str | MessageIn], limits: Limits) -> tuple[Message, ...]:
    """The messages of a request.

    Raises:
        Problem: 400: there are too many; 422: one is none.
    """
    if isinstance(given, str):
        return (UserMessage(given),)
    check_count(len(given), limits)
    return tuple(
        UserMessage(one) if isinstance(one, str) else one.message(f"messages[{number}]")
        for number, one in enumerate(given)
    )


def check_count(count: int, limits: Limits, param: str = "messages") -> None:
    """Refuse too many messages.

    Raises:
        Problem: 400.
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
    """The structured output of a reply as JSON, or None if it has none."""
    if message.tool_calls or "output_type" not in message.metadata:
        return None
    try:
        return message.output_json
    except OutputError:
        return None  # what was said beside calls of tools, for one


def _is_given(message: Message, name: str) -> bool:
    """Whether a field of a text message has something in it that is worth sending."""
    return getattr(message, name) not in (None, (), "", False)
