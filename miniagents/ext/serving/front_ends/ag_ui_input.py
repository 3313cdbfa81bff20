"""The requests of AG-UI: conversations, and the arguments of the agent."""

from collections.abc import Iterable
from typing import Any

from ag_ui import core
from pydantic import ValidationError

from miniagents.ext.llms.messages import FileMessage, ImageMessage, ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.serving.front_ends.contents import media_message, special_of
from miniagents.ext.serving.front_ends.part_writer import Asked
from miniagents.ext.serving.http.json_messages import check_count
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.wants import Special
from miniagents.messages import AssistantMessage, Message, SystemMessage, UserMessage

_BROKEN = "The tool has failed."


def parse_run(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse a request for a run; see `Parse`.

    The fields are those of `forwardedProps`, and `tools` (in the form of chat completions), `context` and `state`,
    unless they are empty.
    """
    try:
        asked = core.RunAgentInput.model_validate_json(body)
    except ValidationError as error:
        raise _invalid(error) from None
    check_count(len(asked.messages), limits)
    if asked.resume:
        raise Problem(
            400, "Agents here make no interrupts to resume (resume)", param="resume", code="unsupported_input"
        )
    specials: list[Special] = []
    messages = _messages(asked.messages, specials)
    return Parsed(Asked(asked.run_id, asked.thread_id, tuple(specials)), messages, _fields(asked))


def _fields(asked: core.RunAgentInput) -> dict[str, Any]:
    forwarded = asked.forwarded_props
    fields: dict[str, Any] = {name: value for name, value in forwarded.items()} if isinstance(forwarded, dict) else {}
    tools = [{"type": "function", "function": _function(tool)} for tool in asked.tools or ()]
    context = [{"description": entry.description, "value": entry.value} for entry in asked.context or ()]
    given = {"tools": tools, "context": context, "state": asked.state}
    return fields | {name: value for name, value in given.items() if value not in (None, [], {})}


def _function(tool: core.Tool) -> dict[str, Any]:
    parameters = tool.parameters if tool.parameters is not None else {"type": "object", "properties": {}}
    return {"name": tool.name, "description": tool.description, "parameters": parameters}


def _messages(entries: Iterable[Any], specials: list[Special]) -> tuple[Message, ...]:
    messages: list[Message] = []
    names: dict[str, str] = {}
    for number, entry in enumerate(entries):
        where = f"messages[{number}]"
        match entry:
            case core.SystemMessage() | core.DeveloperMessage():
                messages.append(SystemMessage(entry.content))
            case core.UserMessage():
                messages += _contents(entry.content, f"{where}.content", specials)
            case core.AssistantMessage():
                messages.append(_assistant(entry))
                names |= {call.id: call.function.name for call in entry.tool_calls or ()}
            case core.ToolMessage():
                messages.append(_result(entry, names.get(entry.tool_call_id, ""), f"{where}.content", specials))
            case _:
                pass  # what the front end shows besides the conversation: activities, thoughts
    return tuple(messages)


def _assistant(entry: core.AssistantMessage) -> Message:
    text = entry.content or ""
    if not entry.tool_calls:
        return AssistantMessage(text)
    calls = (
        ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments or "{}")
        for call in entry.tool_calls
    )
    return ReplyMessage(text, tool_calls=tuple(calls))


def _result(entry: core.ToolMessage, name: str, where: str, specials: list[Special]) -> Message:
    parts: tuple[Message, ...] = ()
    if isinstance(entry.content, str):
        text = entry.content
    else:
        parts = tuple(_contents(entry.content, where, specials))
        text = "\n\n".join(map(str, parts))
    if entry.error is not None:
        return ToolResultMessage(text or entry.error or _BROKEN, call_id=entry.tool_call_id, name=name, is_error=True)
    return ToolResultMessage(text, call_id=entry.tool_call_id, name=name, parts=parts)


def _contents(content: str | list[Any], where: str, specials: list[Special]) -> list[Message]:
    if isinstance(content, str):
        return [UserMessage(content)]
    return [_content(part, f"{where}[{number}]", specials) for number, part in enumerate(content)]


def _content(part: Any, where: str, specials: list[Special]) -> Message:
    """Return a part of a content as a message.

    Raises:
        Problem: 400: no agent takes the part, or the part cannot be read.
    """
    if isinstance(part, core.TextPart):
        return UserMessage(part.text)
    source = part.source
    if isinstance(part, core.VideoPart) or (isinstance(source, core.FileSource) and isinstance(part, core.AudioPart)):
        text = f"No agent here takes input of the type {part.type!r} ({where})"
        raise Problem(400, text, param=where, code="unsupported_input")
    if isinstance(source, core.FileSource):
        specials.append(Special("file_ids", part.type, where))
        kind = ImageMessage if isinstance(part, core.ImagePart) else FileMessage
        return kind(file_id=source.value)
    is_data = isinstance(source, core.DataSource)
    url = f"data:{source.mime_type};base64,{source.value}" if is_data else source.value
    media_type = part.type if isinstance(part, (core.ImagePart, core.AudioPart)) else source.mime_type
    message = media_message(media_type, url, where)
    special = special_of(message, part.type, where)
    if special is not None:
        specials.append(special)
    return message


def _invalid(error: ValidationError) -> Problem:
    """Return the problem of a body that does not fit the protocol; the last error is that of the deepest field."""
    fault = max(
        error.errors(include_url=False, include_context=False, include_input=False), key=lambda e: len(e["loc"])
    )
    if fault["type"] == "json_invalid":
        return Problem(400, f"The body is not JSON: {fault['msg']}.", code="invalid_json")
    where = ".".join(map(str, fault["loc"]))
    return Problem(400, f"{fault['msg']} ({where})", param=where or None, code="invalid")
