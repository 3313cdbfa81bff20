"""Conversations as OpenAI's dictionaries, of chat completions and of the Responses API, and back."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from miniagents.errors import UnsupportedContentError
from miniagents.ext.llms.blocks import KEY, Blocks, Origin, blocks_in
from miniagents.ext.llms.messages import (
    AudioMessage,
    FileMessage,
    ImageMessage,
    ReplyMessage,
    ToolCall,
    ToolResultMessage,
)
from miniagents.ext.llms.native import NativeMessage
from miniagents.ext.llms.provider import ToolSpec
from miniagents.ext.llms.providers import chat_parts
from miniagents.ext.llms.providers.mapping import joined, readable, role_of, same_reply, systems_first, told_first
from miniagents.ext.llms.providers.openai_parts import API
from miniagents.ext.llms.providers.reading import parts_of
from miniagents.ext.llms.schemas import OutputType
from miniagents.messages import AssistantMessage, Message, SystemMessage, TextMessage, UserMessage
from miniagents.messages.frozen import thaw

SendReasoning: TypeAlias = Literal["none", "calls", "all"]
"""The replies that go back to a server of chat completions with their reasoning."""

SHOWN = "(It is in the message after this one.)"
"""The text of a tool result that is no text, for chat completions."""

ANY_CHAT, ANY_RESPONSES = Origin(chat_parts.API), Origin(API)
"""Any provider of chat completions, and of the Responses API."""

_CUSTOM_CALL = "custom_tool_call"
_CUSTOM_OUTPUT = "custom_tool_call_output"
_SOUND = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def native(item: Mapping[str, Any]) -> NativeMessage:
    """An item of the Responses API that has no message class of its own."""
    return NativeMessage(api=API, item=item, role="assistant")


def to_openai(
    messages: Iterable[Message], *, origin: Origin = ANY_CHAT, send_reasoning: SendReasoning = "calls"
) -> list[dict[str, Any]]:
    """A conversation as the `messages` of a chat completion: system prompts first, whatever their place; images, files
    and sound are content parts of the user's message beside them. Those of tool results are the user's after these,
    since results have text alone.

    Args:
        messages: The conversation.
        origin: The server and the model that the conversation is for: reasoning goes back to the server that it came
            from. By default all servers of chat completions count as the same.
        send_reasoning: The replies that keep their reasoning: those with tool "calls", "all", or "none".

    Raises:
        UnsupportedContentError: The API has no form for a part of it.

    Example:
        >>> to_openai([UserMessage("Hello!"), SystemMessage("Be brief.")])
        [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Hello!'}]
    """
    systems, others = systems_first(readable(messages, API, takes_parts=False))
    dicts: list[dict[str, Any]] = [{"role": "system", "content": str(system)} for system in systems]
    shown: list[dict[str, Any]] = []  # by tools, whose results come first
    for message in others:
        if isinstance(message, ToolResultMessage):
            text = message.content
            if message.parts:
                text = joined([_said(part) for part in message.parts if not _is_shown(part)])
                parts = [_part(part) for part in message.parts if _is_shown(part)]
                if parts:
                    shown += [{"type": "text", "text": f"The result of {message.name or message.call_id}:"}, *parts]
                    text = text or SHOWN
            dicts.append({"role": "tool", "tool_call_id": message.call_id, "content": text})
            continue
        if isinstance(message, NativeMessage) and message.kind == _CUSTOM_OUTPUT:
            dicts.append(_custom_output(message))
            continue
        if shown:
            dicts.append({"role": "user", "content": shown})
            shown = []
        if isinstance(message, (ImageMessage, FileMessage, AudioMessage)):
            _add_part(dicts, message)
        elif isinstance(message, NativeMessage):
            _add_custom_call(dicts, message)
        elif isinstance(message, ReplyMessage) and message.tool_calls:
            dicts.append(
                {
                    "role": "assistant",
                    "content": (_of_reply(message) if KEY in message.metadata else message.content) or None,
                    **(_reasoning(message, origin, send_reasoning) if KEY in message.metadata else {}),
                    "tool_calls": [
                        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
                        for c in message.tool_calls
                    ],
                }
            )
        elif isinstance(message, ReplyMessage) and KEY in message.metadata:
            fields = _reasoning(message, origin, send_reasoning)
            dicts.append({"role": "assistant", "content": _of_reply(message), **fields})
        else:
            role, text = role_of(message), _said(message)
            last = dicts[-1] if dicts else None
            if last is not None and last["role"] == role == "user" and isinstance(last["content"], list):
                last["content"].append({"type": "text", "text": text})
            else:
                dicts.append({"role": "user" if role == "tool" else role, "content": text})
    if shown:
        dicts.append({"role": "user", "content": shown})
    return dicts


def _of_reply(message: ReplyMessage) -> str:
    """The text of a reply, with the results of the hosted tools of another API."""
    known = blocks_in(message.metadata)
    return told_first(message) if known is not None and known.origin.api != chat_parts.API else message.content


def _reasoning(message: ReplyMessage, origin: Origin, send_reasoning: SendReasoning) -> Mapping[str, Any]:
    """The fields of a server with the reasoning of a reply, as they came."""
    known = blocks_in(message.metadata)
    if known is None or send_reasoning == "none" or (send_reasoning == "calls" and not message.tool_calls):
        return {}
    if not origin.takes(known):
        return {}
    fields = [item for item in known.items if item["type"] == chat_parts.REASONING]
    return {name: value for item in thaw(fields) for name, value in item.items() if name != "type"}


def _is_shown(message: Message) -> bool:
    """Return True if a part is shown to a model in another form than text."""
    return isinstance(message, (ImageMessage, AudioMessage)) or (
        isinstance(message, FileMessage) and message.text is None
    )


def _said(message: Message) -> str:
    """The text of a message; that of a file, with its name."""
    if isinstance(message, FileMessage) and message.text is not None:
        return f"{message.about}\n\n{message.text}"
    return str(message)


def _part(message: Message) -> dict[str, Any]:
    """A message as a content part of a chat completion."""
    if isinstance(message, AudioMessage):
        return _sound(message)
    if isinstance(message, ImageMessage):
        if message.file_id is not None:
            raise UnsupportedContentError("chat completions take no image by its id: use api='responses'")
        return {"type": "image_url", "image_url": {"url": message.data_url}}
    if not isinstance(message, FileMessage) or message.text is not None:
        return {"type": "text", "text": _said(message)}
    if message.file_id is not None:
        return {"type": "file", "file": {"file_id": message.file_id}}
    if message.data is None:
        raise UnsupportedContentError("chat completions take no file by URL: read it, or use api='responses'")
    return {"type": "file", "file": {"filename": message.filename, "file_data": message.data_url}}


def _sound(message: AudioMessage) -> dict[str, Any]:
    if message.data is None:
        raise UnsupportedContentError("OpenAI takes sound by its data alone: read it")
    return {"type": "input_audio", "input_audio": {"data": message.base64, "format": message.format}}


def _add_part(dicts: list[dict[str, Any]], message: ImageMessage | FileMessage | AudioMessage) -> None:
    part = _part(message)
    last = dicts[-1] if dicts else None
    if last is None or last["role"] != "user":
        dicts.append({"role": "user", "content": [part]})
        return
    if isinstance(last["content"], str):
        last["content"] = [{"type": "text", "text": last["content"]}]
    last["content"].append(part)


def _add_custom_call(dicts: list[dict[str, Any]], message: NativeMessage) -> None:
    """A custom tool call: beside its result, no other item is a part of chat completions."""
    item = message.item
    if message.kind != _CUSTOM_CALL:
        raise UnsupportedContentError(f"chat completions take no {message.kind}: use api='responses'")
    call = {"id": item["call_id"], "type": "custom", "custom": {"name": item["name"], "input": item["input"]}}
    last = dicts[-1] if dicts else None
    if last is not None and last.get("tool_calls"):
        last["tool_calls"].append(call)
    else:
        dicts.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _custom_output(message: NativeMessage) -> dict[str, Any]:
    output = message.item["output"]
    if not isinstance(output, str):
        raise UnsupportedContentError(f"chat completions take no {message.kind} that is no text: use api='responses'")
    return {"role": "tool", "tool_call_id": message.item["call_id"], "content": output}


def from_openai(dicts: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    """A conversation in OpenAI's dictionaries as messages; `function_call`, and the role `function`, are tool calls.

    Raises:
        ValueError: A data URL, or base64, is none.

    Example:
        >>> messages = from_openai([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}])
        >>> [(message.role, str(message)) for message in messages]
        [('system', 'Be brief.'), ('user', 'Hello!')]
    """
    messages: list[Message] = []
    names: dict[str, str] = {}
    custom: set[str] = set()
    for message in dicts:
        role, content = message["role"], message.get("content")
        if role == "tool" and message["tool_call_id"] in custom:
            output = {"type": _CUSTOM_OUTPUT, "call_id": message["tool_call_id"], "output": _text(content)}
            messages.append(native(output))
        elif role == "tool":
            call_id = message["tool_call_id"]
            messages.append(ToolResultMessage(_text(content), call_id=call_id, name=names.get(call_id, "")))
        elif role == "function":
            call_id = next((id for id in reversed(names) if names[id] == message["name"]), "")
            messages.append(ToolResultMessage(_text(content), call_id=call_id, name=message["name"]))
        elif role == "assistant":
            calls, others = _calls(message, len(messages))
            reasoning = _reasoning_in(message)
            names |= {call.id: call.name for call in calls}
            custom |= {item.item["call_id"] for item in others}
            text = _text(content) or message.get("refusal") or ""
            if calls or reasoning:
                messages.append(ReplyMessage(text, tool_calls=calls, metadata=reasoning))
            elif text or not others:
                messages.append(AssistantMessage(text))
            messages += others
        elif role in ("system", "developer"):
            messages.append(SystemMessage(_text(content)))
        elif isinstance(content, str):
            messages.append(UserMessage(content) if role == "user" else TextMessage(content, role=role))
        else:
            messages += [_from_part(part) for part in content or ()]
    return tuple(messages)


def _reasoning_in(message: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a reply with the reasoning of a message; {} if it has none."""
    names = (*chat_parts.TEXTS, chat_parts.DETAILS)
    fields = {name: message[name] for name in names if isinstance(message.get(name), (str, list))}
    if not fields:
        return {}
    return {KEY: Blocks(Origin(chat_parts.API), [{"type": chat_parts.REASONING, **fields}]).as_metadata()}


def _calls(message: Mapping[str, Any], number: int) -> tuple[tuple[ToolCall, ...], list[NativeMessage]]:
    """The tool calls of a message: those of functions, and those of custom tools."""
    dicts = list(message.get("tool_calls") or ())
    if message.get("function_call"):
        dicts.append({"id": f"call_{number}", "function": message["function_call"]})
    calls = tuple(
        ToolCall(id=c["id"], name=c["function"]["name"], arguments=c["function"]["arguments"] or "{}")
        for c in dicts
        if c.get("type") != "custom"
    )
    items = [{"type": _CUSTOM_CALL, "call_id": c["id"], **c["custom"]} for c in dicts if c.get("type") == "custom"]
    return calls, [native(item) for item in items]


def _from_part(part: Mapping[str, Any]) -> Message:
    kind = part["type"]
    if kind == "image_url":
        return ImageMessage(**fields_of_url(part["image_url"]["url"]))
    if kind == "file":
        file = part["file"]
        if file.get("file_id") is not None:
            return FileMessage(file_id=file["file_id"])
        return FileMessage(filename=file.get("filename", "file"), **fields_of_url(file["file_data"]))
    if kind == "input_audio":
        sound = part["input_audio"]
        return AudioMessage(data=base64.b64decode(sound["data"], validate=True), media_type=_SOUND[sound["format"]])
    return UserMessage(part["text"])


def fields_of_url(url: str) -> dict[str, Any]:
    """Return the fields of an image or a file at a URL: `url`; or `data` and `media_type` of a data URL.

    Args:
        url: The URL.

    Raises:
        ValueError: A data URL has no base64.

    Example:
        >>> fields_of_url("data:image/gif;base64,R0lG")
        {'data': b'GIF', 'media_type': 'image/gif'}
    """
    if not url.startswith("data:"):
        return {"url": url}
    header, _, data = url.partition(",")
    if not header.endswith(";base64"):
        raise ValueError("a data URL is data:<media type>;base64,<data>")
    return {"data": base64.b64decode(data, validate=True), "media_type": header.removeprefix("data:").partition(";")[0]}


def _text(content: Any) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    return "\n\n".join(part.get("text") or part.get("refusal") or "" for part in content)


def tools_for_chat(tools: Iterable[ToolSpec]) -> list[dict[str, Any]]:
    """Tools as a chat completion takes them."""
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def output_for_chat(output: OutputType) -> dict[str, Any]:
    """A type of structured output as the `response_format` of a chat completion."""
    return {"type": "json_schema", "json_schema": _schema(output)}


def to_responses(
    messages: Iterable[Message], *, origin: Origin = ANY_RESPONSES, is_stored: bool = False
) -> list[dict[str, Any]]:
    """A conversation as the `input` of the Responses API.

    Args:
        messages: The conversation.
        origin: The provider and the model that the conversation is for: they get back their own items unchanged. By
            default all items of the Responses API count as their own.
        is_stored: Whether the provider stores responses, and so knows reasoning by its id.

    Raises:
        UnsupportedContentError: The API has no form for a part of it.
    """
    systems, others = systems_first(readable(messages, API))
    items: list[dict[str, Any]] = [{"role": "system", "content": str(system)} for system in systems]
    for message in others:
        if isinstance(message, ToolResultMessage):
            output = [_input_part(part) for part in message.parts] if message.parts else message.content
            items.append({"type": "function_call_output", "call_id": message.call_id, "output": output})
        elif isinstance(message, (ImageMessage, FileMessage, AudioMessage)):
            items.append({"role": "user", "content": [_input_part(message)]})
        elif isinstance(message, NativeMessage):
            items.append(thaw(message.item))
        elif isinstance(message, ReplyMessage):
            items += _reply_items(message, origin, is_stored=is_stored)
        else:
            role = role_of(message)
            items.append({"role": "user" if role == "tool" else role, "content": _said(message)})
    return items


def _reply_items(message: ReplyMessage, origin: Origin, *, is_stored: bool) -> list[dict[str, Any]]:
    calls = [
        {"type": "function_call", "call_id": c.id, "name": c.name, "arguments": c.arguments} for c in message.tool_calls
    ]
    known, text = blocks_in(message.metadata), message.content
    if known is not None:
        items: list[dict[str, Any]] = thaw(known.items)
        texts = [parts_of(item.get("content"), "content")[0] for item in items if item["type"] == "message"]
        is_same = same_reply(message, texts, sum(item["type"] == "function_call" for item in items))
        if is_same and origin.takes(known) and all(is_stored or _is_whole(item) for item in items):
            renamed = iter(calls)  # the calls may have other ids by now
            return [{**item, **next(renamed)} if item["type"] == "function_call" else item for item in items]
        text = told_first(message)
    return [*([{"role": "assistant", "content": text}] if text else ()), *calls]


def _is_whole(item: Mapping[str, Any]) -> bool:
    """Return whether an item says all that it means. Reasoning that is known by its id alone does not, and neither
    does an item in which the answer was cut off."""
    if item["type"] == "reasoning" and not (item.get("encrypted_content") or item.get("content")):
        return False
    return item.get("status") not in ("in_progress", "incomplete")


def _input_part(message: Message) -> dict[str, Any]:
    """A message as a content part of the Responses API."""
    if isinstance(message, AudioMessage):
        return _sound(message)
    if not isinstance(message, (ImageMessage, FileMessage)):
        return {"type": "input_text", "text": str(message)}
    kind = "input_image" if isinstance(message, ImageMessage) else "input_file"
    if message.file_id is not None:
        return {"type": kind, "file_id": message.file_id}
    if isinstance(message, ImageMessage):
        return {"type": kind, "image_url": message.data_url}
    if message.text is not None:
        return {"type": "input_text", "text": _said(message)}
    if message.url is not None:
        return {"type": kind, "file_url": message.url}
    return {"type": kind, "filename": message.filename, "file_data": message.data_url}


def tools_for_responses(tools: Iterable[ToolSpec]) -> list[dict[str, Any]]:
    """Tools as the Responses API takes them."""
    return [{"type": "function", **_function(tool)} for tool in tools]


def output_for_responses(output: OutputType) -> dict[str, Any]:
    """A type of structured output as the `text` of the Responses API."""
    return {"format": {"type": "json_schema", **_schema(output)}}


def _function(tool: ToolSpec) -> dict[str, Any]:
    strict = tool.strict_schema
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.schema if strict is None else strict,
        "strict": strict is not None,
    }


def _schema(output: OutputType) -> dict[str, Any]:
    strict = output.strict_schema
    return {
        "name": output.api_name,
        "schema": output.schema if strict is None else strict,
        "strict": strict is not None,
    }
