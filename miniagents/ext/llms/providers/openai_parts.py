"""The items of OpenAI's Responses API as messages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from miniagents.ext.llms.native import NativeMessage
from miniagents.ext.llms.parts import Citation, HostedToolCall, HostedToolResult, ReasoningMessage, json_text
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
    ) and not any(_has_annotations(item.get("content")) for item in items)


def _has_annotations(content: object) -> bool:
    parts = content if isinstance(content, (list, tuple)) else ()
    return any(isinstance(part, Mapping) and part.get("annotations") for part in parts)


def parts_of(items: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Return the parts of a response that are neither text nor calls of functions."""
    return tuple(part for item in items for part in parts_of_item(item))


def parts_of_item(item: Mapping[str, Any]) -> Iterator[Message]:
    """Yield the parts of an item."""
    kind = str(item.get("type"))
    if kind == "reasoning":
        yield ReasoningMessage(api=API, item=item, content=reasoning_text(item))
    elif kind == "message":
        content = item.get("content")
        for part in content if isinstance(content, (list, tuple)) else ():
            for annotation in (part.get("annotations") or ()) if isinstance(part, Mapping) else ():
                yield citation_of(annotation)
    elif is_hosted_call(item):
        name, call_id = str(item.get("name") or kind.removesuffix(_CALL)), str(item.get("call_id") or item.get("id"))
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
    found = item.get("summary") or item.get("content")
    parts = found if isinstance(found, (list, tuple)) else ()
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n\n".join(text for text in texts if text and isinstance(text, str))


def citation_of(annotation: Mapping[str, Any]) -> Citation:
    """Return an annotation of a text as a message; that of a chat completion has its fields one level deeper."""
    fields = annotation.get("url_citation") or annotation
    title = fields.get("title") or fields.get("filename") or fields.get("file_id") or ""
    return Citation(api=API, item=annotation, title=title, url=fields.get("url"))
