"""Conversations as Anthropic's dictionaries, and back."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from miniagents.ext.llms.messages import (
    AudioMessage,
    FileMessage,
    ImageMessage,
    ItemMessage,
    ReplyMessage,
    ToolCall,
    ToolResultMessage,
)
from miniagents.ext.llms.model import ToolSpec
from miniagents.ext.llms.providers.mapping import joined, json_arguments, role_of, systems_first
from miniagents.messages import AssistantMessage, Message, SystemMessage, UserMessage
from miniagents.messages.frozen import thaw

FIRST_USER_MESSAGE = "/start"
"""What is put before a conversation whose first message is not the user's; Anthropic's API refuses those. (The text is
the one of MiniAgents 0.0.35.)"""


def to_anthropic(
    messages: Iterable[Message], *, first_user_message: str = FIRST_USER_MESSAGE
) -> tuple[str, list[dict[str, Any]]]:
    """A conversation as the `system` and the `messages` of Anthropic's API.

    Consecutive messages of one role become one, and blank ones are left out, since the API refuses them.

    Args:
        messages: The conversation.
        first_user_message: What comes first where the first message is not the user's, or where there is none beside
            system prompts.

    Returns:
        The system prompts, joined ("" for none), and the messages.
    """
    systems, others = systems_first(messages)
    dicts: list[dict[str, Any]] = []
    for message in others:
        role = "assistant" if role_of(message) == "assistant" else "user"
        blocks = _blocks(message)
        if not blocks:
            continue
        if not dicts and role != "user":
            dicts.append({"role": "user", "content": [{"type": "text", "text": first_user_message}]})
        if dicts and dicts[-1]["role"] == role:
            dicts[-1]["content"] += blocks
        else:
            dicts.append({"role": role, "content": blocks})
    if systems and not dicts:
        dicts.append({"role": "user", "content": [{"type": "text", "text": first_user_message}]})
    for one in dicts:
        if one["role"] == "user":
            # Results must come first in the message after the calls.
            one["content"].sort(key=lambda block: block["type"] != "tool_result")
        elif one is dicts[-1]:
            one["content"] = _without_trailing_space(one["content"])
    for one in dicts:
        if all(block["type"] == "text" for block in one["content"]):
            one["content"] = joined([block["text"] for block in one["content"]])
    return joined([str(one) for one in systems]), dicts


def _without_trailing_space(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A last message that is the assistant's must not end in white space."""
    last = blocks[-1]
    return [*blocks[:-1], {**last, "text": last["text"].rstrip()}] if last["type"] == "text" else blocks


def _blocks(message: Message) -> list[dict[str, Any]]:
    if isinstance(message, ToolResultMessage):
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.call_id, "content": message.content}
        return [{**result, "is_error": True} if message.is_error else result]
    if isinstance(message, (AudioMessage, ItemMessage)):
        raise ValueError(f"Anthropic's API takes no {type(message).__name__}")
    if isinstance(message, (ImageMessage, FileMessage)):
        if message.file_id is not None:
            raise ValueError("Anthropic's API takes no file by an id of OpenAI's")
        source: dict[str, Any] = (
            {"type": "url", "url": message.url}
            if message.url is not None
            else {"type": "base64", "media_type": message.media_type, "data": message.base64}
        )
        return [{"type": "image" if isinstance(message, ImageMessage) else "document", "source": source}]
    if isinstance(message, ReplyMessage):
        blocks: list[dict[str, Any]] = list(thaw(message.metadata.get("thinking_blocks", ())))
        if message.content.strip():
            blocks.append({"type": "text", "text": message.content})
        blocks += [
            {"type": "tool_use", "id": c.id, "name": c.name, "input": json_arguments(c.arguments)}
            for c in message.tool_calls
        ]
        return blocks
    text = str(message)
    return [{"type": "text", "text": text}] if text.strip() else []


def from_anthropic(dicts: Iterable[Mapping[str, Any]], *, system: str | None = None) -> tuple[Message, ...]:
    """A conversation in Anthropic's dictionaries as messages."""
    found: list[Message] = [SystemMessage(system)] if system else []
    names: dict[str, str] = {}
    for one in dicts:
        content = one["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
        if one["role"] == "assistant":
            text = joined([block["text"] for block in blocks if block["type"] == "text"])
            calls = tuple(
                ToolCall(id=b["id"], name=b["name"], arguments=msgspec.json.encode(b["input"]).decode())
                for b in blocks
                if b["type"] == "tool_use"
            )
            names |= {call.id: call.name for call in calls}
            found.append(ReplyMessage(text, tool_calls=calls) if calls else AssistantMessage(text))
        else:
            found += [_from_block(block, names) for block in blocks]
    return tuple(found)


def _from_block(block: Mapping[str, Any], names: Mapping[str, str]) -> Message:
    kind = block["type"]
    if kind == "tool_result":
        content = block.get("content") or ""
        text = content if isinstance(content, str) else joined([part.get("text", "") for part in content])
        call_id = block["tool_use_id"]
        return ToolResultMessage(
            text, call_id=call_id, name=names.get(call_id, ""), is_error=bool(block.get("is_error", False))
        )
    if kind in ("image", "document"):
        source = block["source"]
        cls = ImageMessage if kind == "image" else FileMessage
        if source["type"] == "url":
            return cls(url=source["url"])
        return cls(data=base64.b64decode(source["data"], validate=True), media_type=source["media_type"])
    return UserMessage(block["text"])


def tools_for_anthropic(tools: Iterable[ToolSpec]) -> list[dict[str, Any]]:
    """Tools as Anthropic's API takes them."""
    return [{"name": t.name, "description": t.description, "input_schema": t.schema} for t in tools]
