"""Messages of replies as plain JSON. Nothing here needs a server: `miniagents run --json` prints them, too."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from miniagents.errors import OutputError
from miniagents.ext.llms.messages import ReplyMessage, ToolResultMessage
from miniagents.ext.llms.sound import sound_message
from miniagents.messages import DataMessage, ErrorMessage, Message, TextMessage
from miniagents.messages.message import to_json


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
