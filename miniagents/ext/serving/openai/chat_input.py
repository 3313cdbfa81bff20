"""What comes in through OpenAI's APIs: conversations as their clients write them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from miniagents.ext.llms.messages import FileMessage, ImageMessage, ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.llms.providers.openai_mapping import from_openai
from miniagents.ext.serving.conversations.conversation_id import ConversationIn
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import convert
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


Content = str | list[TextPart | ImagePart | FilePart]


class SystemIn(msgspec.Struct, frozen=True, tag="system", tag_field="role"):
    """What the agent is told beforehand."""

    content: Content


class DeveloperIn(msgspec.Struct, frozen=True, tag="developer", tag_field="role"):
    """What the agent is told beforehand."""

    content: Content


class UserIn(msgspec.Struct, frozen=True, tag="user", tag_field="role"):
    """What a user says."""

    content: Content


class AssistantIn(msgspec.Struct, frozen=True, tag="assistant", tag_field="role"):
    """What the assistant said, and the tools that it asked for."""

    content: str | list[TextPart | RefusalPart] | None = None
    tool_calls: list[ChatToolCall] | None = None


class ToolIn(msgspec.Struct, frozen=True, tag="tool", tag_field="role"):
    """What a tool answered."""

    tool_call_id: str
    content: Content


ChatMessageIn = SystemIn | DeveloperIn | UserIn | AssistantIn | ToolIn


class StreamOptions(msgspec.Struct, frozen=True):
    """How to stream."""

    include_usage: bool = False


class ChatRequest(msgspec.Struct, frozen=True):
    """A request for a chat completion. Other options go to agents that take them, and are ignored otherwise."""

    model: str
    messages: Annotated[list[ChatMessageIn], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=1)] | None = None
    conversation: ConversationIn = None


class InputText(msgspec.Struct, frozen=True, tag="input_text", tag_field="type"):
    """Text of a user."""

    text: str


class OutputTextIn(msgspec.Struct, frozen=True, tag="output_text", tag_field="type"):
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


Part = InputText | OutputTextIn | RefusalPart | InputImage | InputFile


class InputMessage(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    """A message; its type may be left out."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]


class InputCall(msgspec.Struct, frozen=True, tag="function_call", tag_field="type"):
    """A tool that the assistant asked for."""

    call_id: str
    name: str
    arguments: str


class InputCallOutput(msgspec.Struct, frozen=True, tag="function_call_output", tag_field="type"):
    """What a tool answered."""

    call_id: str
    output: str | list[Part]


class InputReasoning(msgspec.Struct, frozen=True, tag="reasoning", tag_field="type"):
    """What a model thought; it is skipped."""


InputItem = InputMessage | InputCall | InputCallOutput | InputReasoning


class ResponsesRequest(msgspec.Struct, frozen=True):
    """A request for a response. Other options go to agents that take them, and are ignored otherwise."""

    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: ConversationIn = None
    metadata: dict[str, str] | None = None


def chat_messages(given: list[ChatMessageIn]) -> tuple[Message, ...]:
    """The conversation of a chat completion.

    Raises:
        Problem: 400: it is none.
    """
    try:
        return from_openai(msgspec.to_builtins(given))
    except (ValueError, LookupError) as error:  # a data URL that is none
        raise Problem(
            400, f"The messages cannot be read: {error} (messages)", param="messages", code="invalid"
        ) from None


def input_messages(given: str | list[dict[str, Any]], *, under: str = "input") -> tuple[Message, ...]:
    """The conversation of a response's input.

    Args:
        given: The input.
        under: The field that it comes from.

    Raises:
        Problem: 400: it is none.
    """
    if isinstance(given, str):
        return (UserMessage(given),)
    typed = [item if "type" in item else {**item, "type": "message"} for item in given]
    items: list[InputItem] = convert(typed, list[InputItem], under=under, status=400)
    found: list[Message] = []
    calls: list[ToolCall] = []
    names: dict[str, str] = {}
    for number, item in enumerate(items):
        if isinstance(item, InputCall):
            names[item.call_id] = item.name
            calls.append(ToolCall(id=item.call_id, name=item.name, arguments=item.arguments or "{}"))
            continue
        if calls and not isinstance(item, InputReasoning):
            found.append(ReplyMessage("", tool_calls=tuple(calls)))
            calls = []
        if isinstance(item, InputCallOutput):
            output, name = _text(item.output), names.get(item.call_id, "")
            found.append(ToolResultMessage(output, call_id=item.call_id, name=name))
        elif isinstance(item, InputMessage):
            found += _said(item.role, item.content, f"{under}[{number}]")
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


def _missing(where: str, name: str) -> Problem:
    return Problem(400, f"{where} lacks {name} ({where}.{name})", param=f"{where}.{name}", code="invalid")
