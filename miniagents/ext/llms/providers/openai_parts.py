"""The items of OpenAI's Responses API as messages."""

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

API = "openai"
"""The `api` of native messages."""

_PLAIN = {
    "message": ("type", "id", "role", "status", "content"),
    "function_call": ("type", "id", "call_id", "name", "arguments", "status"),
}
"""The items that text and function calls express, in their order, with their fields."""
_OWN = ("function_call", "custom_tool_call")
_CALL = "_call"
_ARGUMENTS = ("arguments", "action", "actions", "queries", "code", "input", "operation")
_RESULTS = ("results", "outputs", "output", "error")


def is_hosted_call(item: Mapping[str, Any]) -> bool:
    """Return whether an item is the call of a tool that OpenAI runs, with its result."""
    kind = str(item.get("type"))
    return kind.endswith(_CALL) and kind not in _OWN


def is_plain(items: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether items are texts and then calls of functions, with nothing else in them."""
    kinds = [str(item.get("type")) for item in items]
    if any(kind not in _PLAIN for kind in kinds) or kinds != sorted(kinds, key=list(_PLAIN).index):
        return False
    return not any(
        value is not None and field not in _PLAIN[item["type"]] for item in items for field, value in item.items()
    ) and not any(part.get("annotations") for item in items for part in objects_in(item.get("content")))


def parts_of(items: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Return the parts of a response that are neither text nor calls of functions."""
    return tuple(part for item in items for part in parts_of_item(item))


def parts_of_item(item: Mapping[str, Any]) -> Iterator[Message]:
    """Yield the parts of an item."""
    kind = str(item.get("type"))
    if kind == "reasoning":
        yield ReasoningMessage(api=API, item=item, content=reasoning_text(item))
    elif kind == "message":
        for part in objects_in(item.get("content")):
            for annotation in objects_in(part.get("annotations")):
                yield citation_of(annotation)
    elif is_hosted_call(item):
        name = first_text(item.get("name"), kind.removesuffix(_CALL))
        call_id = first_text(item.get("call_id"), item.get("id"))
        given = {field: thaw(item[field]) for field in _ARGUMENTS if item.get(field) is not None}
        arguments = json_text(given["arguments"] if given.keys() == {"arguments"} else given)
        yield HostedToolCall(api=API, item=item, id=call_id, name=name, arguments=arguments)
        results = [item[field] for field in _RESULTS if item.get(field)]
        if results:
            text, failed = spoken_text(results), bool(item.get("error")) or item.get("status") == "failed"
            yield HostedToolResult(api=API, item=item, content=text, call_id=call_id, name=name, is_error=failed)
    elif kind != "function_call":
        yield NativeMessage(api=API, item=item, role="assistant")


def reasoning_text(item: Mapping[str, Any]) -> str:
    """Return the text of a reasoning item: its summary, or without one the reasoning itself."""
    parts = objects_in(item.get("summary")) or objects_in(item.get("content"))
    texts = [first_text(part.get("text")) for part in parts]
    return "\n\n".join(filter(None, texts))


def citation_of(annotation: Mapping[str, Any]) -> Citation:
    """Return an annotation of a text as a message; that of a chat completion has its fields one level deeper."""
    inner = annotation.get("url_citation")
    fields = inner if isinstance(inner, Mapping) else annotation
    title = first_text(fields.get("title"), fields.get("filename"), fields.get("file_id"))
    return Citation(api=API, item=annotation, title=title, url=first_text(fields.get("url")) or None)
