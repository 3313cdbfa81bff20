"""Conversations as OpenAI's dictionaries, of chat completions and of the Responses API, and back."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from miniagents.ext.llms.messages import FileMessage, ImageMessage, ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.llms.model import ToolSpec
from miniagents.ext.llms.providers.mapping import role_of, systems_first
from miniagents.ext.llms.schemas import OutputType
from miniagents.messages import AssistantMessage, Message, SystemMessage, TextMessage, UserMessage
from miniagents.messages.frozen import thaw


def to_openai(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """A conversation as the `messages` of a chat completion: system prompts first, whatever their place; images and
    files are content parts of the user's message beside them."""
    systems, others = systems_first(messages)
    dicts: list[dict[str, Any]] = [{"role": "system", "content": str(one)} for one in systems]
    for message in others:
        if isinstance(message, ToolResultMessage):
            dicts.append({"role": "tool", "tool_call_id": message.call_id, "content": message.content})
        elif isinstance(message, (ImageMessage, FileMessage)):
            _add_part(dicts, message)
        elif isinstance(message, ReplyMessage) and message.tool_calls:
            dicts.append(
                {
                    "role": "assistant",
                    "content": message.content or None,
                    "tool_calls": [
                        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
                        for c in message.tool_calls
                    ],
                }
            )
        else:
            role, text = role_of(message), str(message)
            last = dicts[-1] if dicts else None
            if last is not None and last["role"] == role == "user" and isinstance(last["content"], list):
                last["content"].append({"type": "text", "text": text})
            else:
                dicts.append({"role": "user" if role == "tool" else role, "content": text})
    return dicts


def _add_part(dicts: list[dict[str, Any]], message: ImageMessage | FileMessage) -> None:
    if isinstance(message, ImageMessage):
        part: dict[str, Any] = {"type": "image_url", "image_url": {"url": message.data_url}}
    elif message.data is not None:
        part = {"type": "file", "file": {"filename": message.filename, "file_data": message.data_url}}
    else:
        raise ValueError("chat completions take no file by URL: read it, or use api='responses'")
    last = dicts[-1] if dicts else None
    if last is None or last["role"] != "user":
        dicts.append({"role": "user", "content": [part]})
        return
    if isinstance(last["content"], str):
        last["content"] = [{"type": "text", "text": last["content"]}]
    last["content"].append(part)


def from_openai(dicts: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    """A conversation in OpenAI's dictionaries as messages."""
    found: list[Message] = []
    names: dict[str, str] = {}
    for one in dicts:
        role, content = one["role"], one.get("content")
        if role == "tool":
            call_id = one["tool_call_id"]
            found.append(ToolResultMessage(_text(content), call_id=call_id, name=names.get(call_id, "")))
        elif role == "assistant":
            calls = tuple(
                ToolCall(id=c["id"], name=c["function"]["name"], arguments=c["function"]["arguments"] or "{}")
                for c in one.get("tool_calls") or ()
            )
            names |= {call.id: call.name for call in calls}
            text = _text(content)
            found.append(ReplyMessage(text, tool_calls=calls) if calls else AssistantMessage(text))
        elif role in ("system", "developer"):
            found.append(SystemMessage(_text(content)))
        elif isinstance(content, str):
            found.append(UserMessage(content) if role == "user" else TextMessage(content, role=role))
        else:
            found += [_from_part(part) for part in content or ()]
    return tuple(found)


def _from_part(part: Mapping[str, Any]) -> Message:
    kind = part["type"]
    if kind == "image_url":
        return ImageMessage(**_from_url(part["image_url"]["url"]))
    if kind == "file":
        file = part["file"]
        return FileMessage(filename=file.get("filename", "file"), **_from_url(file["file_data"]))
    return UserMessage(part["text"])


def _from_url(url: str) -> dict[str, Any]:
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


def to_responses(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """A conversation as the `input` of the Responses API."""
    systems, others = systems_first(messages)
    items: list[dict[str, Any]] = [{"role": "system", "content": str(one)} for one in systems]
    for message in others:
        if isinstance(message, ToolResultMessage):
            items.append({"type": "function_call_output", "call_id": message.call_id, "output": message.content})
        elif isinstance(message, ImageMessage):
            items.append({"role": "user", "content": [{"type": "input_image", "image_url": message.data_url}]})
        elif isinstance(message, FileMessage):
            where = (
                {"file_url": message.url}
                if message.url is not None
                else {"filename": message.filename, "file_data": message.data_url}
            )
            items.append({"role": "user", "content": [{"type": "input_file", **where}]})
        elif isinstance(message, ReplyMessage):
            items += thaw(message.metadata.get("reasoning_items", ()))
            if message.content:
                items.append({"role": "assistant", "content": message.content})
            items += [
                {"type": "function_call", "call_id": c.id, "name": c.name, "arguments": c.arguments}
                for c in message.tool_calls
            ]
        else:
            role = role_of(message)
            items.append({"role": "user" if role == "tool" else role, "content": str(message)})
    return items


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
    return {"name": output.api_name, "schema": output.schema, "strict": output.strict}
