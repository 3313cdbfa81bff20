"""The fields of chat completions that are neither text nor tool calls: reasoning and citations.

Servers have three fields for reasoning: `reasoning_content` (DeepSeek, Qwen, earlier versions of vLLM), `reasoning`
(vLLM, OpenRouter) and `reasoning_details` (OpenRouter: signed or encrypted). They are kept as they came.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from miniagents.ext.llms.parts import ReasoningMessage, first_text, objects_in
from miniagents.ext.llms.providers.openai_parts import citation_of
from miniagents.messages import Message

API = "chat"
"""The `api` of native messages that only servers of chat completions read."""

TEXTS = ("reasoning_content", "reasoning")
DETAILS = "reasoning_details"
REASONING = "reasoning"
"""The type of the item with all fields of reasoning."""
ANNOTATIONS = "annotations"
"""The type, and the only field, of the item with the citations."""

_JOINED = ("text", "summary", "data")


def parts_of(items: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Return the reasoning and the citations of a reply."""
    parts: list[Message] = []
    for item in items:
        if item["type"] == REASONING:
            parts.append(ReasoningMessage(api=API, item=item, content=reasoning_text(item)))
        else:
            parts += [
                msgspec.structs.replace(citation_of(annotation), api=API) for annotation in item.get(ANNOTATIONS, ())
            ]
    return tuple(parts)


def reasoning_text(fields: Mapping[str, Any]) -> str:
    """Return the text of the reasoning in a message or in a piece of one; "" if there is none.

    A server that sends the text in two fields means the same text.
    """
    text = first_text(*(fields.get(name) for name in TEXTS))
    if text:
        return text
    details = objects_in(fields.get(DETAILS))
    return "".join(first_text(detail.get("text"), detail.get("summary")) for detail in details)


def joined_details(known: list[dict[str, Any]], pieces: object) -> None:
    """Add a piece of `reasoning_details`: pieces with one `index` are one entry.

    Args:
        known: The entries so far, which are changed.
        pieces: The field of the piece.
    """
    for piece in pieces if isinstance(pieces, list) else ():
        if not isinstance(piece, dict):
            continue
        last = known[-1] if known else None
        if last is None or piece.get("index") is None or last.get("index") != piece["index"]:
            known.append(dict(piece))
            continue
        for name, value in piece.items():
            if name in _JOINED and isinstance(value, str) and isinstance(last.get(name), str):
                last[name] += value
            elif value is not None:
                last[name] = value
