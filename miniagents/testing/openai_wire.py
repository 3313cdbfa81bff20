"""OpenAI's wire formats, from the provider's side."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from miniagents.testing.script import Reply, pieces_of

Frame = tuple[bytes, int]
"""Bytes to send, and how many tokens they carry."""

_ids = itertools.count(1)
_CREATED = 1_750_000_000


def _sse(data: Any, event: str | None = None) -> bytes:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {msgspec.json.encode(data).decode()}\n\n".encode()


def _usage(reply: Reply, read: int) -> dict[str, Any]:
    return {
        "prompt_tokens": read,
        "completion_tokens": reply.output_tokens,
        "total_tokens": read + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _finish_reason(reply: Reply) -> str:
    return reply.stop_reason or ("tool_calls" if reply.calls else "stop")


def call_id(reply: Reply, index: int, prefix: str = "call") -> str:
    """The id of a call: its own, or one that is made up."""
    return reply.calls[index].id or f"{prefix}_{next(_ids):08d}"


def chat_frames(reply: Reply, body: Mapping[str, Any], read: int) -> Iterator[Frame]:
    """A chat completion as a stream."""
    head = {
        "id": f"chatcmpl-{next(_ids):08d}",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": body.get("model", "model"),
        "system_fingerprint": None,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _sse({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": "" if not reply.calls else None, "refusal": None}), 0
    for token in reply.tokens:
        yield chunk({"content": token}), 1
    if reply.refusal:
        yield chunk({"refusal": reply.refusal}), 0
    for index, call in enumerate(reply.calls):
        function: dict[str, Any] = {"name": call.name, "arguments": ""}
        first = {"index": index, "id": call_id(reply, index), "type": "function", "function": function}
        yield chunk({"tool_calls": [first]}), 0
        for piece in pieces_of(call.json):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), 1
    yield chunk({}, _finish_reason(reply)), 0
    if reply.reports_usage and (body.get("stream_options") or {}).get("include_usage"):
        yield _sse({**head, "choices": [], "usage": _usage(reply, read)}), 0
    yield b"data: [DONE]\n\n", 0


def chat_body(reply: Reply, body: Mapping[str, Any], read: int) -> dict[str, Any]:
    """A chat completion as a whole."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(reply.tokens) or None, "refusal": reply.refusal}
    if reply.calls:
        message["tool_calls"] = [
            {"id": call_id(reply, i), "type": "function", "function": {"name": c.name, "arguments": c.json}}
            for i, c in enumerate(reply.calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}
    return {
        "id": f"chatcmpl-{next(_ids):08d}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": body.get("model", "model"),
        "choices": [choice],
        **({"usage": _usage(reply, read)} if reply.reports_usage else {}),
    }


def response_body(reply: Reply, body: Mapping[str, Any], read: int, *, status: str | None = None) -> dict[str, Any]:
    """A response of the Responses API as a whole."""
    output: list[dict[str, Any]] = []
    if reply.tokens or reply.refusal:
        parts: list[dict[str, Any]] = []
        if reply.tokens:
            parts.append({"type": "output_text", "text": "".join(reply.tokens), "annotations": []})
        if reply.refusal:
            parts.append({"type": "refusal", "refusal": reply.refusal})
        output.append(
            {
                "id": f"msg_{next(_ids):08d}",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": parts,
            }
        )
    for index, call in enumerate(reply.calls):
        output.append(
            {
                "id": f"fc_{next(_ids):08d}",
                "type": "function_call",
                "status": "completed",
                "call_id": call_id(reply, index),
                "name": call.name,
                "arguments": call.json,
            }
        )
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    reason = reasons.get(reply.stop_reason or "")
    usage = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": reply.cached_tokens},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + reply.output_tokens,
    }
    return {
        "id": f"resp_{next(_ids):08d}",
        "object": "response",
        "created_at": _CREATED,
        "status": status or ("incomplete" if reason else "completed"),
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": None,
        "metadata": {},
        "model": body.get("model", "model"),
        "output": output if status is None else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage if reply.reports_usage and status is None else None,
    }


def response_frames(reply: Reply, body: Mapping[str, Any], read: int) -> Iterator[Frame]:
    """A response of the Responses API as a stream."""
    numbers = itertools.count()

    def event(kind: str, **data: Any) -> bytes:
        return _sse({"type": kind, "sequence_number": next(numbers), **data}, kind)

    whole = response_body(reply, body, read)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield event("response.created", response=begun), 0
    yield event("response.in_progress", response=begun), 0
    for index, item in enumerate(whole["output"]):
        where = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            yield event("response.output_item.added", output_index=index, item={**item, "content": []}), 0
            part = {"type": "output_text", "text": "", "annotations": []}
            yield event("response.content_part.added", **where, content_index=0, part=part), 0
            for token in reply.tokens:
                yield event("response.output_text.delta", **where, content_index=0, delta=token, logprobs=[]), 1
            if reply.refusal:
                yield event("response.refusal.delta", **where, content_index=0, delta=reply.refusal), 0
            text = "".join(reply.tokens)
            yield event("response.output_text.done", **where, content_index=0, text=text, logprobs=[]), 0
        else:
            yield event("response.output_item.added", output_index=index, item={**item, "arguments": ""}), 0
            for piece in pieces_of(item["arguments"]):
                yield event("response.function_call_arguments.delta", **where, delta=piece), 1
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield event("response.function_call_arguments.done", **where, **done), 0
        yield event("response.output_item.done", output_index=index, item=item), 0
    yield event(f"response.{whole['status']}", response=whole), 0


def stream_error(reply: Reply, *, responses: bool = False) -> bytes:
    """An error inside a stream."""
    if responses:
        data = {"type": "error", "code": reply.error_type or "server_error", "message": reply.error, "param": None}
        return _sse({**data, "sequence_number": 99}, "error")
    return _sse({"error": {"message": reply.error, "type": reply.error_type or "server_error", "code": None}})


_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    429: "requests",
}


def error_body(reply: Reply) -> dict[str, Any]:
    """An error response."""
    code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(reply.status)
    kind = _TYPES.get(reply.status, "server_error")
    return {"error": {"message": reply.error, "type": kind, "param": None, "code": reply.error_type or code}}


def embeddings_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """Embeddings: vectors that depend on nothing but the text."""
    given = body["input"]
    texts = [given] if isinstance(given, str) else list(given)
    size = body.get("dimensions") or 8
    data = []
    for index, text in enumerate(texts):
        digest = hashlib.shake_256(str(text).encode()).digest(size)
        data.append({"object": "embedding", "index": index, "embedding": [(byte - 128) / 128 for byte in digest]})
    read = sum(len(str(text).split()) for text in texts)
    usage = {"prompt_tokens": read, "total_tokens": read}
    return {"object": "list", "data": data, "model": body.get("model", "model"), "usage": usage}
