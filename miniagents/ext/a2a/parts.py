"""The parts of messages and artifacts of the Agent2Agent protocol, as messages, and back."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from a2a.helpers.proto_helpers import new_data_part, new_raw_part, new_text_part, new_url_part
from a2a.types import Part
from google.protobuf.json_format import MessageToDict

from miniagents.ext.llms.messages import UNNAMED, AudioMessage, FileMessage, ImageMessage, ReplyMessage
from miniagents.ext.llms.native import NativeMessage
from miniagents.messages import AssistantMessage, DataMessage, Message, TextMessage, UserMessage
from miniagents.messages.message import to_json


def messages_of(parts: Iterable[Part], *, is_reply: bool) -> list[Message]:
    """Return parts as messages.

    Args:
        parts: The parts.
        is_reply: Whether an agent says them, and not a user.

    Example:
        >>> text, data = messages_of([new_text_part("Hello"), new_data_part({"city": "Paris"})], is_reply=False)
        >>> text.role, text.content, data.data["city"]
        ('user', 'Hello', 'Paris')
    """
    role = "assistant" if is_reply else "user"
    return [_message(part, role) for part in parts]


def _message(part: Part, role: str) -> Message:
    match part.WhichOneof("content"):
        case "text":
            return AssistantMessage(part.text) if role == "assistant" else UserMessage(part.text)
        case "data":
            data = MessageToDict(part.data)
            return DataMessage(data if isinstance(data, Mapping) else {"value": data})
        case "raw":
            fields: dict[str, Any] = {"data": part.raw, "media_type": part.media_type or "application/octet-stream"}
        case "url":
            fields = {"url": part.url, "media_type": part.media_type or None}
        case _:
            return TextMessage("", role=role)
    kind = (part.media_type or "").partition("/")[0]
    if kind == "image":
        return ImageMessage(role=role, **fields)
    if kind == "audio":
        return AudioMessage(role=role, **fields)
    return FileMessage(role=role, filename=part.filename or UNNAMED, **fields)


def part_of(message: Message) -> Part | None:
    """Return a message as a part; None if it has nothing to show: a call of a tool, the reasoning of a model.

    Args:
        message: The message.

    Example:
        >>> part_of(UserMessage("Hello")).text
        'Hello'
    """
    match message:
        case ReplyMessage() if not message.content:
            return None
        case NativeMessage():
            return None
        case TextMessage():
            return new_text_part(message.content)
        case DataMessage():
            return new_data_part(msgspec.json.decode(to_json(message.data)))
        case ImageMessage(data=bytes(data)) | AudioMessage(data=bytes(data)) | FileMessage(data=bytes(data)):
            return new_raw_part(data, media_type=message.media_type, filename=_filename(message))
        case ImageMessage(url=str(url)) | AudioMessage(url=str(url)) | FileMessage(url=str(url)):
            return new_url_part(url, media_type=message.media_type, filename=_filename(message))
        case _:
            return new_text_part(str(message))


def _filename(message: Message) -> str | None:
    return message.filename if isinstance(message, FileMessage) and message.filename != UNNAMED else None
