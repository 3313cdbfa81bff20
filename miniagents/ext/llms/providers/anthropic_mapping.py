"""Conversations as Anthropic's dictionaries."""

from collections.abc import Iterable
from typing import Any

from miniagents.errors import UnsupportedContentError
from miniagents.ext.llms.messages import (
    UNNAMED,
    AudioMessage,
    FileMessage,
    ImageMessage,
    ReplyMessage,
    ToolResultMessage,
)
from miniagents.ext.llms.native import NativeMessage
from miniagents.ext.llms.provider import ToolSpec
from miniagents.ext.llms.providers.anthropic_history import API, BLOCKS
from miniagents.ext.llms.providers.mapping import joined, json_arguments, readable, role_of, systems_first
from miniagents.messages import Message
from miniagents.messages.frozen import thaw

FIRST_USER_MESSAGE = "/start"
"""The message before a conversation whose first message is not the user's, which Anthropic's API refuses. (The text is
that of MiniAgents 0.0.35.)"""


def to_anthropic(
    messages: Iterable[Message], *, first_user_message: str = FIRST_USER_MESSAGE
) -> tuple[str | list[dict[str, Any]], list[dict[str, Any]]]:
    """A conversation as the `system` and the `messages` of Anthropic's API.

    Consecutive messages of one role become one, and blank ones are left out, since the API refuses them.

    Args:
        messages: The conversation.
        first_user_message: What comes first where the first message is not the user's, or where there is none beside
            system prompts.

    Returns:
        The system prompts, joined ("" for none), or their blocks, where these have more than text (`cache_control`);
        and the messages.

    Raises:
        UnsupportedContentError: The API has no form for a part of it.

    Example:
        >>> from miniagents.messages import SystemMessage, UserMessage
        >>> to_anthropic([SystemMessage("Be brief."), UserMessage("Hello!")])
        ('Be brief.', [{'role': 'user', 'content': 'Hello!'}])
    """
    systems, others = systems_first(readable(messages, API, takes_context=True))
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
    for turn in dicts:
        if turn["role"] == "user":
            # Results must come first in the message after the calls.
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        elif turn is dicts[-1]:
            turn["content"] = _without_trailing_space(turn["content"])
    for turn in dicts:
        if _is_plain(turn["content"]):
            turn["content"] = joined([block["text"] for block in turn["content"]])
    prompts = [block for system in systems for block in _blocks(system)]
    return (joined([block["text"] for block in prompts]) if _is_plain(prompts) else prompts), dicts


def _is_plain(blocks: list[dict[str, Any]]) -> bool:
    """Return True if there is nothing but text."""
    return all(block.keys() == {"type", "text"} for block in blocks)


def _without_trailing_space(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A last message that is the assistant's must not end in white space."""
    last = blocks[-1]
    return [*blocks[:-1], {**last, "text": last["text"].rstrip()}] if last["type"] == "text" else blocks


def _blocks(message: Message) -> list[dict[str, Any]]:
    if isinstance(message, ReplyMessage):
        return _of_reply(message)
    if isinstance(message, NativeMessage):
        return [thaw(message.item)]
    if isinstance(message, ToolResultMessage):
        content = [block for part in message.parts for block in _blocks(part)] if message.parts else message.content
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.call_id, "content": content}
        if message.is_error:
            block["is_error"] = True
    elif isinstance(message, AudioMessage):
        raise UnsupportedContentError("Anthropic's API takes no sound")
    elif isinstance(message, ImageMessage):
        block = {"type": "image", "source": _source(message)}
    elif isinstance(message, FileMessage):
        text = message.text
        source = {"type": "text", "media_type": "text/plain", "data": text} if text is not None else _source(message)
        block = {"type": "document", "source": source}
        if message.filename != UNNAMED:
            block["title"] = message.filename
        if message.context:
            block["context"] = message.context
    else:
        text = str(message)
        if not text.strip():
            return []
        block = {"type": "text", "text": text}
    fields = message.metadata.get(API)
    return [{**block, **thaw(fields)} if fields else block]


def _source(message: ImageMessage | FileMessage) -> dict[str, Any]:
    if message.file_id is not None:
        raise UnsupportedContentError("Anthropic's API takes no file by an id of OpenAI's")
    if message.url is not None:
        return {"type": "url", "url": message.url}
    return {"type": "base64", "media_type": message.media_type, "data": message.base64}


def _of_reply(message: ReplyMessage) -> list[dict[str, Any]]:
    calls = [
        {"type": "tool_use", "id": c.id, "name": c.name, "input": json_arguments(c.arguments)}
        for c in message.tool_calls
    ]
    known: list[dict[str, Any]] | None = thaw(message.metadata.get(BLOCKS))
    if known is not None:  # its calls may have other ids by now
        renamed = iter(calls)
        blocks = [{**block, **next(renamed, {})} if block["type"] == "tool_use" else block for block in known]
        return [block for block in blocks if block["type"] != "text" or block["text"].strip()]
    blocks = list(thaw(message.metadata.get("thinking_blocks", ())))
    if message.content.strip():
        blocks.append({"type": "text", "text": message.content})
    return blocks + calls


def tools_for_anthropic(tools: Iterable[ToolSpec]) -> list[dict[str, Any]]:
    """Tools as Anthropic's API takes them."""
    return [{"name": t.name, "description": t.description, "input_schema": t.schema} for t in tools]
