"""Content blocks of requests to Anthropic's API: the known types, and those that only Anthropic's models take."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import BASE64, invalid
from miniagents.ext.serving.wants import Special


class Base64Source(msgspec.Struct, frozen=True, tag="base64", tag_field="type"):
    """Bytes, in base64."""

    media_type: str
    data: Annotated[str, Meta(pattern=BASE64)]


class UrlSource(msgspec.Struct, frozen=True, tag="url", tag_field="type"):
    """A URL."""

    url: str


class FileSource(msgspec.Struct, frozen=True, tag="file", tag_field="type"):
    """A file that Anthropic stores. Only Anthropic's own models can read it."""

    file_id: str


class TextSource(msgspec.Struct, frozen=True, tag="text", tag_field="type"):
    """Text."""

    data: str
    media_type: Literal["text/plain"]


class TextIn(msgspec.Struct, frozen=True, tag="text", tag_field="type"):
    """Text."""

    text: str


class ImageIn(msgspec.Struct, frozen=True, tag="image", tag_field="type"):
    """An image."""

    source: Base64Source | UrlSource | FileSource


class ContentSource(msgspec.Struct, frozen=True, tag="content", tag_field="type"):
    """A text, or several texts and images."""

    content: str | list[TextIn | ImageIn]


class DocumentIn(msgspec.Struct, frozen=True, tag="document", tag_field="type"):
    """A document, with its title and its context for the model."""

    source: Base64Source | UrlSource | FileSource | TextSource | ContentSource
    title: str | None = None
    context: str | None = None


class FoundText(msgspec.Struct, frozen=True):
    """A text of a search result."""

    text: str
    type: Literal["text"]


class SearchResultIn(msgspec.Struct, frozen=True, tag="search_result", tag_field="type"):
    """A search result."""

    source: str
    title: str
    content: list[FoundText]


class ToolResultIn(msgspec.Struct, frozen=True, tag="tool_result", tag_field="type"):
    """The result of a tool."""

    tool_use_id: str
    content: str | list[msgspec.Raw] | None = None
    is_error: bool | None = False


class ToolUseIn(msgspec.Struct, frozen=True, tag="tool_use", tag_field="type"):
    """A tool call of the assistant."""

    id: str
    name: str
    input: dict[str, Any]


class ThinkingIn(msgspec.Struct, frozen=True, tag="thinking", tag_field="type"):
    """A thought of a model. Only models of Anthropic get it back."""

    thinking: str
    signature: str


class RedactedThinkingIn(msgspec.Struct, frozen=True, tag="redacted_thinking", tag_field="type"):
    """An encrypted thought of a model. Only models of Anthropic get it back."""

    data: str


ShownBlock = TextIn | ImageIn | DocumentIn | SearchResultIn
"""The blocks of the result of a tool."""
UserBlock = TextIn | ImageIn | DocumentIn | SearchResultIn | ToolResultIn
"""The blocks of a user."""
AssistantBlock = TextIn | ToolUseIn | ThinkingIn | RedactedThinkingIn
"""The blocks of the assistant."""

_KNOWN: dict[str, type[msgspec.Struct]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        TextIn,
        ImageIn,
        DocumentIn,
        SearchResultIn,
        ToolResultIn,
        ToolUseIn,
        ThinkingIn,
        RedactedThinkingIn,
    )
}
_SHOWN = frozenset({"text", "image", "document", "search_result"})
BLOCKS_OF: Mapping[str, frozenset[str]] = {
    "system": frozenset({"text"}),
    "user": _SHOWN | {"tool_result"},
    "assistant": frozenset({"text", "tool_use", "thinking", "redacted_thinking"}),
}
"""The types of blocks that the turns of a role may have, besides those that only Anthropic's models take."""


class _Typed(msgspec.Struct, frozen=True):
    type: str


def blocks_in(
    raw: list[msgspec.Raw], of: str, where: str, specials: list[Special], allowed: frozenset[str] | None = None
) -> list[dict[str, Any]]:
    """Return the blocks of a content, checked, with all their fields.

    Args:
        raw: The blocks.
        of: The role of the turn, for errors.
        where: The field of the request.
        specials: The list to which the blocks that only Anthropic's models take are added.
        allowed: The types that are allowed besides these; None for the types of the role.

    Raises:
        Problem: 400: a block is wrong, or not allowed for the role.
    """
    allowed = allowed if allowed is not None else BLOCKS_OF[of]
    return [_block(block, of, f"{where}[{number}]", specials, allowed) for number, block in enumerate(raw)]


def _block(raw: msgspec.Raw, of: str, where: str, specials: list[Special], allowed: frozenset[str]) -> dict[str, Any]:
    block: dict[str, Any] = _as(raw, dict[str, Any], where)
    kind = block.get("type")
    if not isinstance(kind, str):
        kind = _as(raw, _Typed, where).type  # or raises, with the reason
    known = _KNOWN.get(kind)
    if known is None:
        specials.append(Special("blocks", kind, where))
        return block
    if kind not in allowed:
        text = f"Blocks of the type {kind!r} are not allowed for the {of} ({where}.type)"
        raise Problem(400, text, param=f"{where}.type", code="invalid")
    typed = _as(raw, known, where)
    if isinstance(typed, ToolResultIn) and isinstance(typed.content, list):
        blocks_in(typed.content, "tool", f"{where}.content", specials, _SHOWN)
    elif isinstance(typed, (ImageIn, DocumentIn)):
        _look_for_files(typed.source, f"{where}.source", kind, specials)
    return block


def _look_for_files(source: Any, where: str, kind: str, specials: list[Special]) -> None:
    if isinstance(source, FileSource):
        specials.append(Special("blocks", f"{kind} by file_id", where))
    elif isinstance(source, ContentSource) and isinstance(source.content, list):
        for number, part in enumerate(source.content):
            if isinstance(part, ImageIn):
                _look_for_files(part.source, f"{where}.content[{number}].source", "image", specials)


def _as(raw: msgspec.Raw, kind: Any, where: str) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise invalid(error, 400, under=where) from None
