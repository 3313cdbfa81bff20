"""Anthropic's wire format, from the provider's side."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from miniagents.testing.openai_wire import Frame, call_id
from miniagents.testing.script import Reply, pieces_of

_ids = itertools.count(1)


def _sse(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {msgspec.json.encode(data).decode()}\n\n".encode()


def _stop_reason(reply: Reply) -> str:
    return reply.stop_reason or ("refusal" if reply.refusal else "tool_use" if reply.calls else "end_turn")


def _usage(reply: Reply, read: int, written: int) -> dict[str, Any]:
    return {
        "input_tokens": read - reply.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": reply.cached_tokens,
        "output_tokens": written,
    }


def message_body(reply: Reply, body: Mapping[str, Any], read: int) -> dict[str, Any]:
    """A message as a whole."""
    content: list[dict[str, Any]] = []
    if reply.tokens or reply.refusal:
        content.append({"type": "text", "text": "".join(reply.tokens) or reply.refusal})
    for index, call in enumerate(reply.calls):
        data = msgspec.json.decode(call.json)
        content.append({"type": "tool_use", "id": call_id(reply, index, "toolu"), "name": call.name, "input": data})
    return {
        "id": f"msg_{next(_ids):08d}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "model"),
        "content": content,
        "stop_reason": _stop_reason(reply),
        "stop_sequence": None,
        "usage": _usage(reply, read, reply.output_tokens),
    }


def message_frames(reply: Reply, body: Mapping[str, Any], read: int) -> Iterator[Frame]:
    """A message as a stream."""
    message = {
        "id": f"msg_{next(_ids):08d}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(reply, read, 1),
    }
    yield _sse({"type": "message_start", "message": message}), 0
    index = 0
    tokens = reply.tokens or ((reply.refusal,) if reply.refusal else ())
    if tokens:
        block = {"type": "text", "text": ""}
        yield _sse({"type": "content_block_start", "index": 0, "content_block": block}), 0
        yield _sse({"type": "ping"}), 0
        for token in tokens:
            delta = {"type": "text_delta", "text": token}
            yield _sse({"type": "content_block_delta", "index": 0, "delta": delta}), 1
        yield _sse({"type": "content_block_stop", "index": 0}), 0
        index = 1
    for number, call in enumerate(reply.calls):
        named: dict[str, Any] = {"id": call_id(reply, number, "toolu"), "name": call.name, "input": {}}
        start = {"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", **named}}
        yield _sse(start), 0
        for piece in pieces_of(call.json):
            delta = {"type": "input_json_delta", "partial_json": piece}
            yield _sse({"type": "content_block_delta", "index": index, "delta": delta}), 1
        yield _sse({"type": "content_block_stop", "index": index}), 0
        index += 1
    end = {"stop_reason": _stop_reason(reply), "stop_sequence": None}
    usage = {"output_tokens": reply.output_tokens}
    yield _sse({"type": "message_delta", "delta": end, "usage": usage}), 0
    yield _sse({"type": "message_stop"}), 0


_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_body(reply: Reply) -> dict[str, Any]:
    """An error response."""
    kind = reply.error_type or _TYPES.get(reply.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": reply.error}, "request_id": f"req_{next(_ids):08d}"}


def stream_error(reply: Reply) -> bytes:
    """An error inside a stream."""
    error = {"type": reply.error_type or "overloaded_error", "message": reply.error}
    return _sse({"type": "error", "error": error})
