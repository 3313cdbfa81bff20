"""`from_anthropic`: conversations in Anthropic's dictionaries as messages.

Fields of a block that its message has no place for (`cache_control`, `citations`, ...) are kept in the message's
metadata, as `anthropic`, and are sent back to Anthropic's models. Blocks that only Anthropic's API has become
`NativeMessage`s.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from miniagents.ext.llms.blocks import KEY, Blocks, Origin
from miniagents.ext.llms.messages import UNNAMED, FileMessage, ImageMessage, ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.llms.native import NativeMessage
from miniagents.ext.llms.providers.anthropic_parts import API, is_plain
from miniagents.ext.llms.providers.mapping import joined
from miniagents.messages import AssistantMessage, FrozenDict, Message, SystemMessage, UserMessage
from miniagents.messages.frozen import EMPTY, freeze


def from_anthropic(
    dicts: Iterable[Mapping[str, Any]], *, system: str | Iterable[Mapping[str, Any]] | None = None
) -> tuple[Message, ...]:
    """Return a conversation in Anthropic's dictionaries as messages.

    Args:
        dicts: The conversation.
        system: The system prompt, or its blocks.

    Raises:
        ValueError: The data of a block is no base64.
        LookupError: A block lacks a field.

    Example:
        ```python
        from miniagents.ext.llms import from_anthropic, to_anthropic

        dicts = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
        messages = from_anthropic(dicts, system="Be brief.")
        print([type(message).__name__ for message in messages])
        # ['SystemMessage', 'UserMessage', 'AssistantMessage']
        system, dicts_again = to_anthropic(messages)
        ```
    """
    messages: list[Message] = _systems(system) if system is not None else []
    names: dict[str, str] = {}
    for entry in dicts:
        role, content = entry["role"], entry["content"]
        if role == "system":
            messages += _systems(content)
        elif role == "assistant":
            messages.append(_reply(_as_blocks(content), names))
        else:
            messages += [_from_block(block, names) for block in _as_blocks(content)]
    return tuple(messages)


def _as_blocks(content: str | Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _systems(content: str | Iterable[Mapping[str, Any]]) -> list[Message]:
    return [
        SystemMessage(block["text"], metadata=_beside(block, "text"))
        for block in _as_blocks(content)
        if block["text"].strip()
    ]


def _reply(blocks: list[Mapping[str, Any]], names: dict[str, str]) -> Message:
    text = joined([block["text"] for block in blocks if block["type"] == "text"])
    calls = tuple(
        ToolCall(id=b["id"], name=b["name"], arguments=msgspec.json.encode(b["input"]).decode())
        for b in blocks
        if b["type"] == "tool_use"
    )
    names |= {call.id: call.name for call in calls}
    if not is_plain(blocks):
        kept = Blocks(Origin(API), blocks).as_metadata()
        return ReplyMessage(text, tool_calls=calls, metadata=_metadata(KEY, kept))
    return ReplyMessage(text, tool_calls=calls) if calls else AssistantMessage(text)


def _from_block(block: Mapping[str, Any], names: Mapping[str, str]) -> Message:
    kind = block["type"]
    if kind == "text":
        return UserMessage(block["text"], metadata=_beside(block, "text"))
    if kind == "tool_result":
        return _result(block, names)
    if kind in ("image", "document") and block["source"]["type"] in ("base64", "url", "text"):
        return _attachment(kind, block, block["source"])
    return NativeMessage(api=API, item=block, parts=_parts(block))


def _attachment(kind: str, block: Mapping[str, Any], source: Mapping[str, Any]) -> Message:
    where: dict[str, Any]
    if source["type"] == "url":
        where = {"url": source["url"]}
    elif source["type"] == "text":
        where = {"data": source["data"].encode(errors="replace"), "media_type": source["media_type"]}
    else:
        where = {"data": base64.b64decode(source["data"], validate=True), "media_type": source["media_type"]}
    if kind == "image":
        return ImageMessage(**where, metadata=_beside(block, "source"))
    return FileMessage(
        **where,
        filename=block.get("title") or UNNAMED,
        context=block.get("context"),
        metadata=_beside(block, "source", "title", "context"),
    )


def _result(block: Mapping[str, Any], names: Mapping[str, str]) -> ToolResultMessage:
    parts = tuple(_from_block(part, names) for part in _as_blocks(block.get("content") or ()))
    call_id = block["tool_use_id"]
    return ToolResultMessage(
        joined([str(part) for part in parts]),
        call_id=call_id,
        name=names.get(call_id, ""),
        is_error=bool(block.get("is_error")),
        parts=parts if any(type(part) is not UserMessage or part.metadata for part in parts) else (),
        metadata=_beside(block, "tool_use_id", "content", "is_error"),
    )


def _parts(block: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return a block that only Anthropic's API has as messages for other models; () if they cannot read it."""
    if block["type"] == "search_result":
        head, content = f"{block['title']} ({block['source']})", block["content"]
    elif block["type"] == "document" and block["source"]["type"] == "content":
        head, content = ": ".join(filter(None, (block.get("title"), block.get("context")))), block["source"]["content"]
    else:
        return ()
    parts: list[Message] = [UserMessage(head)] if head else []
    parts += [_from_block(part, {}) for part in _as_blocks(content)]
    return () if any(isinstance(part, NativeMessage) for part in parts) else tuple(parts)


def _beside(block: Mapping[str, Any], *own: str) -> FrozenDict[str, Any]:
    """Return the metadata for the fields of a block other than these."""
    fields = {name: value for name, value in block.items() if value is not None and name not in ("type", *own)}
    return _metadata(API, fields) if fields else EMPTY


def _metadata(name: str, value: object) -> FrozenDict[str, Any]:
    return FrozenDict({name: freeze(value, f"metadata[{name!r}]")})
