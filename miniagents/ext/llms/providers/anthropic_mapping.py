"""Conversations as Anthropic's dictionaries."""

from collections.abc import Iterable
from typing import Any

from miniagents.errors import UnsupportedContentError
from miniagents.ext.llms.blocks import Origin, blocks_in
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
from miniagents.ext.llms.providers.anthropic_parts import API, SERVER_CALLS, is_server_result
from miniagents.ext.llms.providers.mapping import (
    joined,
    json_arguments,
    readable,
    role_of,
    same_reply,
    systems_first,
    told_first,
)
from miniagents.messages import Message
from miniagents.messages.frozen import thaw

FIRST_USER_MESSAGE = "/start"
"""The message before a conversation whose first message is not the user's, which Anthropic's API refuses. (The text is
that of MiniAgents 0.0.35.)"""

ANY = Origin(API)
"""Any provider of Anthropic's API."""


def to_anthropic(
    messages: Iterable[Message], *, first_user_message: str = FIRST_USER_MESSAGE, origin: Origin = ANY
) -> tuple[str | list[dict[str, Any]], list[dict[str, Any]]]:
    """A conversation as the `system` and the `messages` of Anthropic's API.

    Consecutive messages of one role become one, and blank ones are left out, since the API refuses them.

    Args:
        messages: The conversation.
        first_user_message: What comes first where the first message is not the user's, or where there is none beside
            system prompts.
        origin: The provider and the model that the conversation is for: they get back their own blocks unchanged. By
            default all blocks of Anthropic's API count as their own.

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
        blocks = _of_reply(message, origin) if isinstance(message, ReplyMessage) else _blocks(message)
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
    _drop_unanswered(dicts)
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


def _drop_unanswered(dicts: list[dict[str, Any]]) -> None:
    """Drop the calls of hosted tools that have no result, and results without a call: the API refuses them.

    An answer that was paused ends with such a call, and the API goes on with it: the last turn keeps its calls.
    """
    for turn in dicts:
        content = turn["content"]
        answered = {block.get("tool_use_id") for block in content if is_server_result(block)}
        called = {block.get("id") for block in content if block["type"] in SERVER_CALLS}
        if answered == called:
            continue
        keeps_calls = turn is dicts[-1]
        turn["content"] = [
            block
            for block in content
            if (block["type"] not in SERVER_CALLS or keeps_calls or block.get("id") in answered)
            and (not is_server_result(block) or block.get("tool_use_id") in called)
        ]
    dicts[:] = [turn for turn in dicts if turn["content"]]


def _of_reply(message: ReplyMessage, origin: Origin) -> list[dict[str, Any]]:
    calls = [
        {"type": "tool_use", "id": c.id, "name": c.name, "input": json_arguments(c.arguments)}
        for c in message.tool_calls
    ]
    known, text = blocks_in(message.metadata), message.content
    if known is not None:
        blocks: list[dict[str, Any]] = list(thaw(known.items))
        texts = [block.get("text", "") for block in blocks if block["type"] == "text"]
        is_same = same_reply(message, texts, sum(block["type"] == "tool_use" for block in blocks))
        if is_same and origin.takes(known):
            renamed = iter(calls)  # the calls may have other ids by now
            blocks = [{**block, **next(renamed)} if block["type"] == "tool_use" else block for block in blocks]
            return [block for block in blocks if block["type"] != "text" or block["text"].strip()]
        text = told_first(message)
    return [*([{"type": "text", "text": text}] if text.strip() else ()), *calls]


def tools_for_anthropic(tools: Iterable[ToolSpec]) -> list[dict[str, Any]]:
    """Tools as Anthropic's API takes them."""
    return [{"name": t.name, "description": t.description, "input_schema": t.schema} for t in tools]
