"""The requests of the Vercel AI SDK's chat transport: conversations of UI messages, and the arguments of the agent."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from miniagents.ext.llms.messages import ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.serving.front_ends.contents import media_message, special_of
from miniagents.ext.serving.front_ends.part_writer import Asked
from miniagents.ext.serving.http.json_messages import check_count
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import decode
from miniagents.ext.serving.request_options import fields_in
from miniagents.ext.serving.wants import Special
from miniagents.messages import AssistantMessage, Message, SystemMessage, UserMessage

_DENIED = "The call was denied."
_TOOL = "tool-"
_DYNAMIC = "dynamic-tool"


class UiPart(msgspec.Struct, frozen=True, rename="camel"):
    """A part of a UI message, with the fields of all types that are read here."""

    type: str
    text: str | None = None
    media_type: str | None = None
    filename: str | None = None
    url: str | None = None
    tool_call_id: str | None = None
    tool_name: str | None = None
    state: str | None = None
    input: msgspec.Raw | UnsetType = UNSET
    output: msgspec.Raw | UnsetType = UNSET
    error_text: str | None = None


class UiMessage(msgspec.Struct, frozen=True):
    """A UI message."""

    id: str
    role: Literal["system", "user", "assistant"]
    parts: list[UiPart]


class ChatRequest(msgspec.Struct, frozen=True):
    """A request of the chat transport. Agents get the other fields if they take them as arguments."""

    messages: Annotated[list[UiMessage], Meta(min_length=1)]
    id: str = ""


def parse_chat(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse a request of the chat transport; see `Parse`."""
    wanted = decode(body, ChatRequest, status=400)
    check_count(sum(len(message.parts) for message in wanted.messages), limits)
    specials: list[Special] = []
    messages: list[Message] = []
    for number, message in enumerate(wanted.messages):
        where = f"messages[{number}].parts"
        if message.role == "assistant":
            messages += _Turn(message.parts, where).messages
        else:
            messages += _said(message, where, specials)
    last = wanted.messages[-1]
    asked = Asked(last.id if last.role == "assistant" else None, wanted.id, tuple(specials))
    return Parsed(asked, tuple(messages), fields_in(body, names - {"id", "messages"}))


def _said(message: UiMessage, where: str, specials: list[Special]) -> Iterable[Message]:
    """Yield the messages of a user, or a system prompt. Other parts than texts and files are for the front end alone.

    Raises:
        Problem: 400: a part lacks a field, or cannot be read.
    """
    kind = SystemMessage if message.role == "system" else UserMessage
    for number, part in enumerate(message.parts):
        place = f"{where}[{number}]"
        if part.type == "text":
            yield kind(_needed(part.text, place, "text"))
        elif part.type == "file" and message.role == "user":
            file = media_message(part.media_type, _needed(part.url, place, "url"), place, part.filename)
            special = special_of(file, part.type, place)
            if special is not None:
                specials.append(special)
            yield file


class _Turn:
    """The messages of an assistant: texts, tool calls and their results, in the order in which the agent made them.

    Args:
        parts: The parts of the UI message.
        where: The field of the request.
    """

    def __init__(self, parts: list[UiPart], where: str) -> None:
        self.messages: list[Message] = []
        self._text: str | None = None
        self._calls: list[ToolCall] = []
        self._results: list[Message] = []
        for number, part in enumerate(parts):
            place = f"{where}[{number}]"
            if part.type == "text":
                self._flush()
                self._text = _needed(part.text, place, "text")
            elif part.type == "step-start":
                self._flush()
            elif part.type.startswith(_TOOL) or part.type == _DYNAMIC:
                self._add_call(part, place)
        self._flush()

    def _add_call(self, part: UiPart, place: str) -> None:
        id = _needed(part.tool_call_id, place, "toolCallId")
        name = part.type.removeprefix(_TOOL) if part.type != _DYNAMIC else _needed(part.tool_name, place, "toolName")
        arguments = bytes(part.input).decode() if part.input is not UNSET else "{}"
        self._calls.append(ToolCall(id=id, name=name, arguments=arguments))
        match part.state:
            case "output-available":
                self._results.append(ToolResultMessage(_text_of(part.output), call_id=id, name=name))
            case "output-error" | "output-denied":
                text = part.error_text or _DENIED
                self._results.append(ToolResultMessage(text, call_id=id, name=name, is_error=True))

    def _flush(self) -> None:
        if self._calls:
            self.messages.append(ReplyMessage(self._text or "", tool_calls=tuple(self._calls)))
            self.messages += self._results
        elif self._text is not None:
            self.messages.append(AssistantMessage(self._text))
        self._text, self._calls, self._results = None, [], []


def _text_of(output: msgspec.Raw | UnsetType) -> str:
    """Return the output of a tool: a text as it is, and other values as JSON."""
    if output is UNSET:
        return ""
    value: Any = msgspec.json.decode(output)
    return value if isinstance(value, str) else bytes(output).decode()


def _needed(value: str | None, where: str, name: str) -> str:
    if value is None:
        raise Problem(400, f"{where} lacks {name} ({where}.{name})", param=f"{where}.{name}", code="invalid")
    return value
