"""Requests that the real APIs refuse with a 400, and the text of the refusal."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from miniagents.ext.llms.parameters import CHAT, EMBEDDINGS, MESSAGES, RESPONSES

_APIS = {
    "/chat/completions": (CHAT, "Unrecognized request argument supplied: {}"),
    "/responses": (RESPONSES, "Unknown parameter: '{}'."),
    "/messages": (MESSAGES, "{}: Extra inputs are not permitted"),
    "/embeddings": (EMBEDDINGS, "Unrecognized request argument supplied: {}"),
}

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ID_LENGTH = {"/chat/completions": 40, "/responses": 64}


def refused_fields(path: str, body: Mapping[str, Any], more: Collection[str] = ()) -> str | None:
    """Return the text with which an API refuses an unknown field of a request, or None.

    Args:
        path: The path of the API.
        body: The body of the request.
        more: Fields that are accepted besides those of the API.

    Example:
        >>> refused_fields("/v1/responses", {"model": "m", "colour": "red"})
        "Unknown parameter: 'colour'."
    """
    for ending, (api, words) in _APIS.items():
        if path.endswith(ending):
            unknown = body.keys() - api.body_fields() - set(more)
            return words.format(min(unknown)) if unknown else None
    return None


def refused_conversation(path: str, body: Mapping[str, Any]) -> str | None:
    """Return the text with which an API refuses the messages of a request, or None.

    Args:
        path: The path of the API.
        body: The body of the request.

    Example:
        >>> refused_conversation("/v1/messages", {"messages": []})
        'messages: at least one message is required'
    """
    if path.endswith("/embeddings"):
        return None
    if path.endswith("/responses"):
        return _refused_input(body)
    if not body.get("messages"):
        return "messages: at least one message is required"
    if path.endswith("/messages"):
        for message in body["messages"]:
            if not _has_text(message):
                return "messages: text content blocks must be non-empty"
    return _refused_calls(path, [_turn(message) for message in body["messages"]])


_Turn = tuple[list[tuple[str, str, Any]], list[str]]
"""The calls of a message (id, name, arguments), and the ids of its results."""


def _turn(message: Mapping[str, Any]) -> _Turn:
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    results = [message["tool_call_id"]] if message.get("role") == "tool" else []
    results += [block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"]
    calls = [
        (call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    ]
    calls += [(block["id"], block["name"], block["input"]) for block in blocks if block.get("type") == "tool_use"]
    return calls, results


def _refused_calls(path: str, turns: list[_Turn]) -> str | None:
    unanswered: dict[str, None] = {}
    call_ids: set[str] = set()
    for calls, results in turns:
        for result in results:
            if result not in unanswered:
                return f"messages: the result {result!r} has no call before it"
            del unanswered[result]
        if not results and unanswered:
            return f"messages: the tool call {next(iter(unanswered))!r} has no result right after it"
        for call_id, name, arguments in calls:
            problem = _refused_call(path, call_id, name, arguments)
            if problem is not None:
                return problem
            if call_id in call_ids:
                return f"messages: `tool_use` ids must be unique: {call_id!r}"
            call_ids.add(call_id)
            unanswered[call_id] = None
    return f"messages: the tool call {next(iter(unanswered))!r} has no result right after it" if unanswered else None


def _refused_input(body: Mapping[str, Any]) -> str | None:
    items = body.get("input")
    if not items and not any(body.get(name) for name in ("previous_response_id", "prompt", "conversation")):
        return "One of 'input', 'previous_response_id', 'prompt' or 'conversation' must be provided."
    calls: set[str] = set()
    answered: set[str] = set()
    for item in items if isinstance(items, list) else ():
        call_id = item.get("call_id", "")
        if item.get("type") == "function_call":
            problem = _refused_call("/responses", call_id, item["name"], item["arguments"])
            if problem is not None or call_id in calls:
                return problem or f"Duplicate function call id: {call_id!r}"
            calls.add(call_id)
        elif item.get("type") == "function_call_output":
            if call_id not in calls and not body.get("previous_response_id"):
                return f"No tool call found for function call output with call_id {call_id}."
            answered.add(call_id)
    missing = calls - answered
    return f"No tool output found for function call {min(missing)}." if missing else None


def _refused_call(path: str, call_id: str, name: str, arguments: object) -> str | None:
    longest = next((length for ending, length in _ID_LENGTH.items() if path.endswith(ending)), 1000)
    if not _ID.fullmatch(call_id) or len(call_id) > longest:
        return f"tool call id {call_id!r}: must match '[a-zA-Z0-9_-]+', and have {longest} characters at most"
    if not _NAME.fullmatch(name):
        return f"tool name {name!r}: must match '[a-zA-Z0-9_-]{{1,64}}'"
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return f"the arguments of the tool call {call_id!r} are no JSON: {error}"
    return None if isinstance(arguments, dict) else f"the arguments of the tool call {call_id!r} are no object"


def _has_text(message: Mapping[str, Any]) -> bool:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return bool(blocks) and all(block.get("type") != "text" or block["text"].strip() for block in blocks)
