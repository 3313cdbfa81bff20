"""Blocks of content, as Anthropic's clients write them: which there are, and which only Anthropic's models take."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import invalid
from miniagents.ext.serving.wants import Special


class Base64Source(msgspec.Struct, frozen=True, tag="base64", tag_field="type"):
    """Bytes, in base64."""

    media_type: str
    data: Annotated[str, Meta(pattern="^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]


class UrlSource(msgspec.Struct, frozen=True, tag="url", tag_field="type"):
    """Where it is."""

    url: str


class FileSource(msgspec.Struct, frozen=True, tag="file", tag_field="type"):
    """A file that Anthropic keeps; only its own models can read it."""

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
    """Text, or texts and images, piece by piece."""

    content: str | list[TextIn | ImageIn]


class DocumentIn(msgspec.Struct, frozen=True, tag="document", tag_field="type"):
    """A file, with its name, and with what the model is told about it."""

    source: Base64Source | UrlSource | FileSource | TextSource | ContentSource
    title: str | None = None
    context: str | None = None


class FoundText(msgspec.Struct, frozen=True):
    """Text that a search has found."""

    text: str
    type: Literal["text"]


class SearchResultIn(msgspec.Struct, frozen=True, tag="search_result", tag_field="type"):
    """What a search has found."""

    source: str
    title: str
    content: list[FoundText]


class ToolResultIn(msgspec.Struct, frozen=True, tag="tool_result", tag_field="type"):
    """What a tool answered."""

    tool_use_id: str
    content: str | list[msgspec.Raw] | None = None
    is_error: bool | None = False


class ToolUseIn(msgspec.Struct, frozen=True, tag="tool_use", tag_field="type"):
    """A tool that the assistant asked for."""

    id: str
    name: str
    input: dict[str, Any]


class ThinkingIn(msgspec.Struct, frozen=True, tag="thinking", tag_field="type"):
    """What a model thought; only models of Anthropic get it back."""

    thinking: str
    signature: str


class RedactedThinkingIn(msgspec.Struct, frozen=True, tag="redacted_thinking", tag_field="type"):
    """What a model thought, encrypted; only models of Anthropic get it back."""

    data: str


ShownBlock = TextIn | ImageIn | DocumentIn | SearchResultIn
"""What a tool may answer with."""
UserBlock = TextIn | ImageIn | DocumentIn | SearchResultIn | ToolResultIn
"""What a user says, shows, or answers for a tool."""
AssistantBlock = TextIn | ToolUseIn | ThinkingIn | RedactedThinkingIn
"""What the assistant said, and the tools that it asked for."""

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
"""The blocks that the turns of a role may have, beside those that only Anthropic's models take."""


class _Typed(msgspec.Struct, frozen=True):
    type: str


def blocks_in(
    raw: list[msgspec.Raw], of: str, where: str, specials: list[Special], allowed: frozenset[str] | None = None
) -> list[dict[str, Any]]:
    """The blocks of a content, checked, with all that they have.

    Args:
        raw: The blocks.
        of: Whose they are, for errors: a role.
        where: Their place in the request.
        specials: Gets those that only Anthropic's models take.
        allowed: The kinds that may stand there, beside such; None for those of the role.

    Raises:
        Problem: 400: one is none, or of somebody else.
    """
    allowed = allowed if allowed is not None else BLOCKS_OF[of]
    return [_block(one, of, f"{where}[{number}]", specials, allowed) for number, one in enumerate(raw)]


def _block(raw: msgspec.Raw, of: str, where: str, specials: list[Special], allowed: frozenset[str]) -> dict[str, Any]:
    block: dict[str, Any] = _as(raw, dict[str, Any], where)
    kind = block.get("type")
    if not isinstance(kind, str):
        kind = _as(raw, _Typed, where).type  # and says what is wrong
    known = _KNOWN.get(kind)
    if known is None:
        specials.append(Special("blocks", kind, where))
        return block
    if kind not in allowed:
        text = f"Blocks of the type {kind!r} are none of the {of}'s ({where}.type)"
        raise Problem(400, text, param=f"{where}.type", code="invalid")
    one = _as(raw, known, where)
    if isinstance(one, ToolResultIn) and isinstance(one.content, list):
        blocks_in(one.content, "tool", f"{where}.content", specials, _SHOWN)
    elif isinstance(one, (ImageIn, DocumentIn)):
        _look_for_files(one.source, f"{where}.source", kind, specials)
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
