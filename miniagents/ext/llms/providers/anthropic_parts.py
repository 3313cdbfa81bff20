"""The blocks of Anthropic's replies as messages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from miniagents.ext.llms.native import NativeMessage
from miniagents.ext.llms.parts import (
    Citation,
    HostedToolCall,
    HostedToolResult,
    ReasoningMessage,
    first_text,
    json_text,
    objects_in,
)
from miniagents.ext.llms.providers.spoken import spoken_text
from miniagents.messages import Message
from miniagents.messages.frozen import thaw

API = "anthropic"
"""The `api` of native messages, and the name of this API's fields in the metadata of others."""

THINKING = ("thinking", "redacted_thinking")
SERVER_CALLS = ("server_tool_use", "mcp_tool_use")
"""The calls of tools that Anthropic runs."""
_PLAIN = {"text": ("type", "text"), "tool_use": ("type", "id", "name", "input")}
"""The blocks that text and tool calls express, in their order, with their fields."""


def is_server_result(block: Mapping[str, Any]) -> bool:
    """Return whether a block is the result of a tool that Anthropic runs."""
    return str(block["type"]).endswith("_tool_result")


def is_plain(blocks: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether blocks are text and then calls of own tools, with nothing else in them."""
    kinds = [block["type"] for block in blocks]
    if any(kind not in _PLAIN for kind in kinds) or kinds != sorted(kinds, key=list(_PLAIN).index):
        return False
    return not any(
        value is not None and field not in _PLAIN[block["type"]] for block in blocks for field, value in block.items()
    )


def parts_of(blocks: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Return the parts of a reply that are neither text nor calls of own tools."""
    names: dict[str, str] = {}
    return tuple(part for block in blocks for part in parts_of_block(block, names))


def parts_of_block(block: Mapping[str, Any], names: dict[str, str]) -> Iterator[Message]:
    """Yield the parts of a block.

    Args:
        block: The block.
        names: The names of the hosted tools by the ids of their calls; those of this block are added.
    """
    kind = str(block["type"])
    if kind in THINKING:
        yield ReasoningMessage(api=API, item=block, content=first_text(block.get("thinking")))
    elif kind in SERVER_CALLS:
        names[block["id"]] = block["name"]
        arguments = json_text(thaw(block.get("input") or {}))
        yield HostedToolCall(api=API, item=block, id=block["id"], name=block["name"], arguments=arguments)
    elif is_server_result(block):
        call_id, content = first_text(block.get("tool_use_id")), block.get("content")
        failed = bool(block.get("is_error")) or (isinstance(content, Mapping) and "error_code" in content)
        name = names.get(call_id) or kind.removesuffix("_tool_result")
        text = spoken_text(content)
        yield HostedToolResult(api=API, item=block, content=text, call_id=call_id, name=name, is_error=failed)
    elif kind == "text":
        for citation in objects_in(block.get("citations")):
            yield citation_of(citation)
    elif kind != "tool_use":
        yield NativeMessage(api=API, item=block, role="assistant")


def citation_of(citation: Mapping[str, Any]) -> Citation:
    """Return a citation as a message."""
    title = first_text(citation.get("title"), citation.get("document_title"))
    url = first_text(citation.get("url"), citation.get("source")) or None
    return Citation(api=API, item=citation, title=title, url=url, quote=first_text(citation.get("cited_text")))
