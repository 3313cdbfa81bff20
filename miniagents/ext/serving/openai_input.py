"""What comes in through OpenAI's APIs: conversations as their clients write them."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from miniagents.ext.llms.messages import FileMessage, ImageMessage, ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.llms.providers.openai_mapping import from_openai
from miniagents.ext.serving.problems import Problem
from miniagents.ext.wire.openai_chat import ChatToolCall
from miniagents.messages import AssistantMessage, Message, SystemMessage, UserMessage


class TextPart(msgspec.Struct, frozen=True, tag="text", tag_field="type"):
    """Text."""

    text: str


class RefusalPart(msgspec.Struct, frozen=True, tag="refusal", tag_field="type"):
    """What an assistant said instead of an answer."""

    refusal: str


class ImageUrl(msgspec.Struct, frozen=True):
    """Where an image is, or itself as a data URL."""

    url: str


class ImagePart(msgspec.Struct, frozen=True, tag="image_url", tag_field="type"):
    """An image."""

    image_url: ImageUrl


class FileData(msgspec.Struct, frozen=True):
    """A file, as a data URL."""

    file_data: str
    filename: str = "file"


class FilePart(msgspec.Struct, frozen=True, tag="file", tag_field="type"):
    """A file."""

    file: FileData


class ChatMessageIn(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart | ImagePart | FilePart | RefusalPart] | None = None
    tool_calls: list[ChatToolCall] | None = None
    tool_call_id: str | UnsetType = UNSET


class StreamOptions(msgspec.Struct, frozen=True):
    """How to stream."""

    include_usage: bool = False


class ChatRequest(msgspec.Struct, frozen=True):
    """A request for a chat completion. Other options go to agents that take them, and are ignored otherwise."""

    model: str
    messages: list[ChatMessageIn]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None


class InputText(msgspec.Struct, frozen=True, tag="input_text", tag_field="type"):
    """Text of a user."""

    text: str


class OutputText(msgspec.Struct, frozen=True, tag="output_text", tag_field="type"):
    """Text of an assistant."""

    text: str


class InputImage(msgspec.Struct, frozen=True, tag="input_image", tag_field="type"):
    """An image: where it is, or itself as a data URL."""

    image_url: str


class InputFile(msgspec.Struct, frozen=True, tag="input_file", tag_field="type"):
    """A file: where it is, or itself as a data URL."""

    file_url: str | None = None
    file_data: str | None = None
    filename: str = "file"


Part = InputText | OutputText | RefusalPart | InputImage | InputFile


class InputItem(msgspec.Struct, frozen=True):
    """An item of a response's input."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[Part] | None = None


class ResponsesRequest(msgspec.Struct, frozen=True):
    """A request for a response. Other options go to agents that take them, and are ignored otherwise."""

    model: str
    input: str | list[InputItem]
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    metadata: dict[str, str] | None = None


def chat_messages(given: list[ChatMessageIn]) -> tuple[Message, ...]:
    """The conversation of a chat completion.

    Raises:
        Problem: 400: it is none.
    """
    for number, one in enumerate(given):
        where = f"messages[{number}]"
        if one.role == "tool" and one.tool_call_id is UNSET:
            raise _missing(where, "tool_call_id")
        if one.content is None and not (one.role == "assistant" and one.tool_calls):
            raise _missing(where, "content")
    try:
        return from_openai(msgspec.to_builtins(given))
    except (ValueError, LookupError) as error:  # a data URL that is none
        raise Problem(
            400, f"The messages cannot be read: {error} (messages)", param="messages", code="invalid"
        ) from None


def input_messages(given: str | list[InputItem]) -> tuple[Message, ...]:
    """The conversation of a response's input.

    Raises:
        Problem: 400: it is none.
    """
    if isinstance(given, str):
        return (UserMessage(given),)
    found: list[Message] = []
    calls: list[ToolCall] = []
    names: dict[str, str] = {}
    for number, item in enumerate(given):
        where = f"input[{number}]"
        if item.type == "reasoning":
            continue
        if item.type == "function_call":
            call = ToolCall(
                id=_needed(item.call_id, where, "call_id"),
                name=_needed(item.name, where, "name"),
                arguments=_needed(item.arguments, where, "arguments") or "{}",
            )
            names[call.id] = call.name
            calls.append(call)
            continue
        if calls:
            found.append(ReplyMessage("", tool_calls=tuple(calls)))
            calls = []
        if item.type == "function_call_output":
            call_id = _needed(item.call_id, where, "call_id")
            output = _text(_needed(item.output, where, "output"))
            found.append(ToolResultMessage(output, call_id=call_id, name=names.get(call_id, "")))
        else:
            found += _said(_needed(item.role, where, "role"), _needed(item.content, where, "content"), where)
    if calls:
        found.append(ReplyMessage("", tool_calls=tuple(calls)))
    return tuple(found)


def _said(role: str, content: str | list[Part], where: str) -> list[Message]:
    if role in ("system", "developer"):
        return [SystemMessage(_text(content))]
    if role == "assistant":
        return [AssistantMessage(_text(content))]
    if isinstance(content, str):
        return [UserMessage(content)]
    return [_of_user(part, f"{where}.content[{number}]") for number, part in enumerate(content)]


def _of_user(part: Part, where: str) -> Message:
    match part:
        case InputImage(image_url=url):
            kind, given = "image_url", {"url": url}
        case InputFile(file_url=str(url)):
            return FileMessage(url=url, filename=part.filename)
        case InputFile(file_data=str(data)):
            kind, given = "file", {"file_data": data, "filename": part.filename}
        case InputFile():
            raise _missing(where, "file_url or file_data")
        case _:
            return UserMessage(_text([part]))
    try:
        (message,) = from_openai([{"role": "user", "content": [{"type": kind, kind: given}]}])
    except (ValueError, LookupError) as error:
        raise Problem(400, f"This cannot be read: {error} ({where})", param=where, code="invalid") from None
    assert isinstance(message, (ImageMessage, FileMessage))  # test_images_and_files_come_in_through_both_apis
    return message


def _text(content: str | list[Part]) -> str:
    if isinstance(content, str):
        return content
    texts = [part.refusal if isinstance(part, RefusalPart) else getattr(part, "text", "") for part in content]
    return "\n\n".join(text for text in texts if text)


def _needed(value: Any, where: str, name: str) -> Any:
    if value is None:
        raise _missing(where, name)
    return value


def _missing(where: str, name: str) -> Problem:
    return Problem(400, f"{where} lacks {name} ({where}.{name})", param=f"{where}.{name}", code="invalid")
