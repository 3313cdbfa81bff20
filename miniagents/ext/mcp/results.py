"""The contents of a server's answers as our messages."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from miniagents.ext.llms import AudioMessage, FileMessage, ImageMessage, ToolResultMessage
from miniagents.ext.llms.tool_results import NO_RESULT
from miniagents.messages import AssistantMessage, Message, UserMessage, to_json

_SOUNDS = frozenset({"audio/wav", "audio/x-wav", "audio/mpeg", "audio/mp3"})
"""The media types that models take as sound; another one is a file."""


def result_message(result: CallToolResult, name: str) -> ToolResultMessage:
    """Make the message of a tool's result.

    The result has the structured content or the text that says the same, and not both.

    Args:
        result: The result.
        name: The name of the tool.
    """
    parts = [part_of(block) for block in result.content]
    structured = result.structured_content
    if structured is not None and not _is_mirror(
        [b.text for b in result.content if isinstance(b, TextContent)], structured
    ):
        parts.append(UserMessage(to_json(structured)))
    text = "\n".join(map(str, parts)) or NO_RESULT
    is_plain = all(isinstance(part, UserMessage) for part in parts)
    return ToolResultMessage(text, name=name, is_error=result.is_error, parts=() if is_plain else tuple(parts))


def part_of(block: ContentBlock | Any) -> Message:
    """Make the message of one block of content."""
    if isinstance(block, TextContent):
        return UserMessage(block.text)
    if isinstance(block, ImageContent):
        return _binary(block.data, block.mime_type, "image")
    if isinstance(block, AudioContent):
        return _binary(block.data, block.mime_type, "sound")
    if isinstance(block, EmbeddedResource):
        return resource_message(block.resource)
    if isinstance(block, ResourceLink):
        about = ": ".join(filter(None, (block.title or block.name, block.description)))
        return UserMessage(f"[resource {block.uri}: {about}]")
    return UserMessage(f"[content of the unknown kind {getattr(block, 'type', '?')!r}]")


def said(block: ContentBlock | Any, role: str) -> Message:
    """Make the message of one block of a conversation: a text of the role "assistant" is an `AssistantMessage`."""
    part = part_of(block)
    return AssistantMessage(part.content) if role == "assistant" and isinstance(part, UserMessage) else part


def resource_message(resource: TextResourceContents | BlobResourceContents) -> Message:
    """Make the message of the contents of a resource: a text, an image, a sound or a file."""
    if isinstance(resource, TextResourceContents):
        return UserMessage(resource.text)
    return _binary(resource.blob, resource.mime_type or "application/octet-stream", "file", str(resource.uri))


def _binary(data: str, media_type: str, kind: str, uri: str | None = None) -> Message:
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return UserMessage(f"[{kind}: {media_type}, which is not valid base64]")
    if media_type.startswith("image/"):
        return ImageMessage(data=content, media_type=media_type)
    if media_type in _SOUNDS:
        return AudioMessage(data=content, media_type=media_type)
    filename = (uri or kind).rstrip("/").rpartition("/")[2] or kind
    return FileMessage(data=content, media_type=media_type, filename=filename)


def _is_mirror(texts: Sequence[str], structured: Any) -> bool:
    """Return whether texts say the same as structured content.

    Servers write the content itself as JSON, or, where it is `{"result": ...}`, the value in it: as JSON, as plain
    text, or each item of a list as a text of its own.
    """
    if not texts:
        return False
    values = [_decoded(text) for text in texts]
    same = [structured]
    if isinstance(structured, dict) and structured.keys() == {"result"}:
        same.append(structured["result"])
    return any(values == [value] or values == value or list(texts) in (value, [value]) for value in same)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
