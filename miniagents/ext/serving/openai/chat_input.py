"""The requests for chat completions: the types of their fields, and their conversations."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from miniagents.ext.llms.providers.openai_mapping import from_openai
from miniagents.ext.serving.conversations.conversation_id import ConversationIn
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import BASE64
from miniagents.ext.serving.wants import Special
from miniagents.ext.wire.openai_chat import Function
from miniagents.messages import Message


class TextPart(msgspec.Struct, frozen=True, tag="text", tag_field="type"):
    """Text."""

    text: str


class RefusalPart(msgspec.Struct, frozen=True, tag="refusal", tag_field="type"):
    """The refusal of an assistant, in place of an answer."""

    refusal: str


class ImageUrl(msgspec.Struct, frozen=True):
    """The URL of an image, or a data URL with its content."""

    url: str


class ImagePart(msgspec.Struct, frozen=True, tag="image_url", tag_field="type"):
    """An image."""

    image_url: ImageUrl


class SoundData(msgspec.Struct, frozen=True):
    """Sound, in base64."""

    data: Annotated[str, Meta(pattern=BASE64)]
    format: Literal["wav", "mp3"]


class SoundPart(msgspec.Struct, frozen=True, tag="input_audio", tag_field="type"):
    """Sound."""

    input_audio: SoundData


class FileData(msgspec.Struct, frozen=True):
    """A file: a data URL with its content, or its id."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str = "file"


class FilePart(msgspec.Struct, frozen=True, tag="file", tag_field="type"):
    """A file."""

    file: FileData


Content = str | list[TextPart | RefusalPart]


class SystemIn(msgspec.Struct, frozen=True, tag="system", tag_field="role"):
    """A system prompt."""

    content: Content


class DeveloperIn(msgspec.Struct, frozen=True, tag="developer", tag_field="role"):
    """A system prompt."""

    content: Content


class UserIn(msgspec.Struct, frozen=True, tag="user", tag_field="role"):
    """A message of the user."""

    content: str | list[TextPart | ImagePart | FilePart | SoundPart]


class CustomIn(msgspec.Struct, frozen=True):
    """The call of a custom tool: its name, and its input as free text."""

    name: str
    input: str


class ToolCallIn(msgspec.Struct, frozen=True):
    """A tool call of the assistant: of a function, or of a custom tool."""

    id: str
    type: Literal["function", "custom"] = "function"
    function: Function | None = None
    custom: CustomIn | None = None


class AssistantIn(msgspec.Struct, frozen=True, tag="assistant", tag_field="role"):
    """A message of the assistant, with its tool calls. `function_call` is the older form of a tool call."""

    content: Content | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallIn] | None = None
    function_call: Function | None = None
    audio: dict[str, str] | None = None
    reasoning_content: str | None = None


class ToolIn(msgspec.Struct, frozen=True, tag="tool", tag_field="role"):
    """The result of a tool."""

    tool_call_id: str
    content: Content


class FunctionIn(msgspec.Struct, frozen=True, tag="function", tag_field="role"):
    """The result of a tool, in the older form."""

    name: str
    content: str | None


ChatMessageIn = SystemIn | DeveloperIn | UserIn | AssistantIn | ToolIn | FunctionIn


class StreamOptions(msgspec.Struct, frozen=True):
    """Options of a stream."""

    include_usage: bool = False


class ChatRequest(msgspec.Struct, frozen=True):
    """A request for a chat completion. Agents get the other options if they take them; otherwise these are ignored."""

    model: str
    messages: Annotated[list[ChatMessageIn], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=1)] | None = None
    conversation: ConversationIn = None


class AskedChat(msgspec.Struct, frozen=True):
    """A parsed request for a chat completion.

    Attributes:
        request: The request, without its messages.
        specials: The content that not every agent takes.
    """

    request: ChatRequest
    specials: tuple[Special, ...] = ()


def chat_messages(chat: list[ChatMessageIn]) -> tuple[tuple[Message, ...], tuple[Special, ...]]:
    """Return the conversation of a chat completion.

    Args:
        chat: The messages of the request.

    Returns:
        The messages, and the content that not every agent takes.

    Raises:
        Problem: 400: a message cannot be read.
    """
    specials = tuple(
        special for number, message in enumerate(chat) for special in _specials(message, f"messages[{number}]")
    )
    try:
        return from_openai(msgspec.to_builtins(chat)), specials
    except (ValueError, LookupError) as error:  # a wrong data URL
        raise Problem(
            400, f"The messages cannot be read: {error} (messages)", param="messages", code="invalid"
        ) from None


def _specials(message: ChatMessageIn, where: str) -> list[Special]:
    """Return the content that not every agent takes.

    Raises:
        Problem: 400: no agent takes a part of it, or a field is missing.
    """
    specials = []
    if isinstance(message, UserIn) and not isinstance(message.content, str):
        for number, part in enumerate(message.content):
            place = f"{where}.content[{number}]"
            if isinstance(part, SoundPart):
                specials.append(Special("audio", "input_audio", place))
            elif isinstance(part, FilePart) and part.file.file_id is not None:
                specials.append(Special("file_ids", "file", place))
            elif isinstance(part, FilePart) and part.file.file_data is None:
                raise _missing(f"{place}.file", "file_data")
    elif isinstance(message, AssistantIn):
        if message.audio is not None:
            text = f"Earlier answers in sound are not stored here ({where}.audio)"
            raise Problem(400, text, param=f"{where}.audio", code="unsupported_input")
        for number, call in enumerate(message.tool_calls or ()):
            place = f"{where}.tool_calls[{number}]"
            if getattr(call, call.type) is None:
                raise _missing(place, call.type)
            if call.type == "custom":
                specials.append(Special("items", "custom", place))
    return specials


def _missing(where: str, name: str) -> Problem:
    return Problem(400, f"{where} lacks {name} ({where}.{name})", param=f"{where}.{name}", code="invalid")
