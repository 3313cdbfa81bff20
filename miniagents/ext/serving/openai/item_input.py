"""The items of requests to OpenAI's Responses API, and their messages."""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec

from miniagents.errors import UnencodableError
from miniagents.ext.llms.messages import FileMessage, ImageMessage, ReplyMessage, ToolCall
from miniagents.ext.llms.messages import ToolResultMessage as Result
from miniagents.ext.llms.native import NativeMessage
from miniagents.ext.llms.providers.mapping import joined
from miniagents.ext.llms.providers.openai_mapping import from_openai, native
from miniagents.ext.llms.providers.openai_parts import API
from miniagents.ext.serving.conversations.item_ids import CONTINUES
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import convert
from miniagents.ext.serving.openai.chat_input import RefusalPart, SoundData
from miniagents.ext.serving.wants import Special
from miniagents.messages import AssistantMessage, Message, SystemMessage, UserMessage, encode
from miniagents.messages.frozen import FrozenDict

OTHER_ITEMS = frozenset(
    {
        "additional_tools",
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "compaction",
        "compaction_trigger",
        "computer_call",
        "computer_call_output",
        "configuration_update",
        "custom_tool_call",
        "custom_tool_call_output",
        "file_search_call",
        "image_generation_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "program",
        "program_output",
        "reasoning",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    }
)
"""The types of items without a message class of their own."""

_SHOWN = 100
"""The most characters of a wrong value in an error."""


class InputText(msgspec.Struct, frozen=True, tag="input_text", tag_field="type"):
    """Text of a user."""

    text: str


class OutputTextIn(msgspec.Struct, frozen=True, tag="output_text", tag_field="type"):
    """Text of an assistant."""

    text: str


class InputImage(msgspec.Struct, frozen=True, tag="input_image", tag_field="type"):
    """An image: its URL, a data URL with its content, or its id."""

    image_url: str | None = None
    file_id: str | None = None


class InputFile(msgspec.Struct, frozen=True, tag="input_file", tag_field="type"):
    """A file: its URL, a data URL with its content, or its id."""

    file_url: str | None = None
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class InputAudio(msgspec.Struct, frozen=True, tag="input_audio", tag_field="type"):
    """Sound."""

    input_audio: SoundData


Part = InputText | OutputTextIn | RefusalPart | InputImage | InputFile | InputAudio


class InputMessage(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    """A message. Its type may be left out."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]


class InputCall(msgspec.Struct, frozen=True, tag="function_call", tag_field="type"):
    """A function call of the assistant."""

    call_id: str
    name: str
    arguments: str


class InputCallOutput(msgspec.Struct, frozen=True, tag="function_call_output", tag_field="type"):
    """The result of a function call."""

    call_id: str
    output: str | list[Part]


class ItemReference(msgspec.Struct, frozen=True, tag="item_reference", tag_field="type"):
    """A reference to an item of a stored response."""

    id: str


class CustomCall(msgspec.Struct, frozen=True):
    """The call of a custom tool, with free text as its input."""

    call_id: str
    name: str
    input: str


class CustomOutput(msgspec.Struct, frozen=True):
    """The result of a custom tool."""

    call_id: str
    output: str | list[dict[str, Any]]


CUSTOM: dict[str, Any] = {"custom_tool_call": CustomCall, "custom_tool_call_output": CustomOutput}
"""The required fields of the items of custom tools, by type."""

_THOUGHT = "reasoning"
InputItem = InputMessage | InputCall | InputCallOutput | ItemReference
_OWN_ITEMS = ("message", "function_call", "function_call_output", "item_reference")


class ReferenceMessage(Message, tag="miniagents:ItemReference"):
    """A placeholder for an item of a stored response, until the reference is resolved.

    Attributes:
        id: The id of the item.
        where: The field of the request.
    """

    id: str
    where: str


Specials: TypeAlias = list[Special]


def input_messages(
    items: str | list[dict[str, Any]], *, under: str = "input"
) -> tuple[tuple[Message, ...], tuple[Special, ...]]:
    """Return the conversation in the input of a response. Each item is at least one message, and each tool call is a
    message.

    Agents that do not want `items` do not get the thoughts of models: see `without_thoughts`.

    Args:
        items: The input: a text, or items.
        under: The field of the input.

    Returns:
        The messages, and the content that not every agent takes.

    Raises:
        Problem: 400: an item is wrong.
    """
    if isinstance(items, str):
        return (UserMessage(items),), ()
    messages: list[Message] = []
    specials: Specials = []
    for number, raw in enumerate(items):
        where = f"{under}[{number}]"
        item = _typed(raw, where)
        if item["type"] in OTHER_ITEMS:
            messages.append(_other(item, where, specials))
        else:
            typed: InputItem = convert(item, InputItem, under=where, status=400)  # type: ignore[arg-type]  # a union
            messages += _messages(typed, where, specials)
    return tuple(messages), tuple(specials)


def _typed(item: dict[str, Any], where: str) -> dict[str, Any]:
    """Return an item with its type. A message and a reference may come without a type."""
    kind = item.get("type")
    if kind is None:
        kind = "message" if "role" in item or "id" not in item else "item_reference"
    if not isinstance(kind, str) or (kind not in _OWN_ITEMS and kind not in OTHER_ITEMS):
        supported = ", ".join(repr(name) for name in sorted({*_OWN_ITEMS, *OTHER_ITEMS}))
        text = f"Invalid value: {repr(kind)[:_SHOWN]}. Supported values are: {supported} ({where}.type)"
        raise Problem(400, text, param=f"{where}.type", code="invalid")
    return {**item, "type": kind}


def _other(item: dict[str, Any], where: str, specials: Specials) -> NativeMessage:
    if item["type"] in CUSTOM:
        convert(item, CUSTOM[item["type"]], under=where, status=400)
    if item["type"] != _THOUGHT:
        specials.append(Special("items", item["type"], where))
    try:
        message = native(item)
        encode(message)  # as later, for the store and for the pipe of the process that parses large bodies
    except UnencodableError as error:
        raise Problem(400, f"{error} ({where})", param=where, code="invalid") from None
    return message


def without_thoughts(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return a conversation without the thoughts of models."""
    return tuple(
        message
        for message in messages
        if not (isinstance(message, NativeMessage) and (message.api, message.kind) == (API, _THOUGHT))
    )


def _messages(item: InputItem, where: str, specials: Specials) -> list[Message]:
    match item:
        case ItemReference(id=id):
            return [ReferenceMessage(id=id, where=where)]
        case InputCall():
            call = ToolCall(id=item.call_id, name=item.name, arguments=item.arguments or "{}")
            return [ReplyMessage("", tool_calls=(call,))]
        case InputCallOutput():
            return [_result(item, f"{where}.output", specials)]
        case InputMessage(role="user", content=content):
            if isinstance(content, str):
                return [UserMessage(content)]
            parts = [_of_user(part, f"{where}.content[{n}]", specials) for n, part in enumerate(content)]
            return [*parts[:1], *(part.with_metadata(**{CONTINUES: True}) for part in parts[1:])]
        case InputMessage(role="assistant", content=content):
            return [AssistantMessage(_text(content, f"{where}.content"))]
        case InputMessage(content=content):
            return [SystemMessage(_text(content, f"{where}.content"))]


def _result(item: InputCallOutput, where: str, specials: Specials) -> Result:
    if isinstance(item.output, str):
        return Result(item.output, call_id=item.call_id)
    for number, part in enumerate(item.output):
        if isinstance(part, InputAudio):
            raise _only_text(part, f"{where}[{number}]")
    parts = tuple(_of_user(part, f"{where}[{number}]", specials) for number, part in enumerate(item.output))
    text = joined([str(part) for part in parts])
    has_more = any(not isinstance(part, UserMessage) for part in parts)
    return Result(text, call_id=item.call_id, parts=parts if has_more else ())


def _of_user(part: Part, where: str, specials: Specials) -> Message:
    match part:
        case InputImage(file_id=str(id)) | InputFile(file_id=str(id)):
            specials.append(Special("file_ids", part.__struct_config__.tag, where))  # type: ignore[arg-type]
            return ImageMessage(file_id=id) if isinstance(part, InputImage) else FileMessage(file_id=id)
        case InputImage(image_url=str(url)):
            kind, content = "image_url", {"url": url}
        case InputImage():
            raise _missing(where, "image_url or file_id", "image_url")
        case InputFile(file_url=str(url)):
            return FileMessage(url=url, filename=part.filename or "file")
        case InputFile(file_data=str(data)):
            kind, content = "file", {"file_data": data, "filename": part.filename or "file"}
        case InputFile():
            raise _missing(where, "file_url, file_data or file_id", "file_url")
        case InputAudio(input_audio=sound):
            specials.append(Special("audio", "input_audio", where))
            kind, content = "input_audio", {"data": sound.data, "format": sound.format}
        case _:
            return UserMessage(_text([part], where))
    try:
        (message,) = from_openai([{"role": "user", "content": [{"type": kind, kind: content}]}])
    except (ValueError, LookupError) as error:
        raise Problem(400, f"This part cannot be read: {error} ({where})", param=where, code="invalid") from None
    return message


def _text(content: str | list[Part], where: str) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for number, part in enumerate(content):
        if isinstance(part, (InputImage, InputFile, InputAudio)):
            raise _only_text(part, f"{where}[{number}]")
        texts.append(part.refusal if isinstance(part, RefusalPart) else part.text)
    return "\n\n".join(text for text in texts if text)


def _only_text(part: Part, where: str) -> Problem:
    text = f"Only text can be passed on here, no {part.__struct_config__.tag!r} ({where})"
    return Problem(400, text, param=where, code="unsupported_input")


def _missing(where: str, names: str, name: str) -> Problem:
    return Problem(400, f"{where} lacks {names} ({where}.{name})", param=f"{where}.{name}", code="invalid")


def unmarked(message: Message) -> Message:
    """Return a message without the mark of a further part of an item."""
    if CONTINUES not in message.metadata:
        return message
    return msgspec.structs.replace(message, metadata=FrozenDict())
