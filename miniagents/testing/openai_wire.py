"""Scripted replies in OpenAI's wire formats."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from miniagents.ext.wire import openai_errors as errors
from miniagents.ext.wire.openai_chat import (
    AssistantReply,
    ChatCompletion,
    ChatStream,
    ChatToolCall,
    ChatUsage,
    Choice,
    Function,
)
from miniagents.ext.wire.openai_responses import (
    FunctionCallItem,
    Incomplete,
    MessageItem,
    OutputItem,
    OutputText,
    Refusal,
    ResponseBody,
    ResponseStream,
    ResponseUsage,
)
from miniagents.ext.wire.sse import DONE, sse
from miniagents.testing.script import Reply, pieces_of

Frame = tuple[bytes, int]
"""Bytes to send, and the number of tokens in them."""

_ids = itertools.count(1)
_CREATED = 1_750_000_000


def _finish_reason(reply: Reply) -> str:
    return reply.stop_reason or ("tool_calls" if reply.calls else "stop")


def call_id(reply: Reply, index: int, prefix: str = "call") -> str:
    """Return the id of a scripted call, or a new id if the script gives none."""
    return reply.calls[index].id or f"{prefix}_{next(_ids):08d}"


def chat_frames(reply: Reply, body: Mapping[str, Any], read: int) -> Iterator[Frame]:
    """Return the frames of a streamed chat completion; see `chat_body`."""
    stream = ChatStream(f"chatcmpl-{next(_ids):08d}", _CREATED, body.get("model", "model"))
    yield stream.begin("" if not reply.calls else None), 0
    for token in reply.tokens:
        yield stream.text(token), 1
    if reply.refusal:
        yield stream.refusal(reply.refusal), 0
    for index, call in enumerate(reply.calls):
        yield stream.call(index, call_id(reply, index), call.name), 0
        for piece in pieces_of(call.json):
            yield stream.arguments(index, piece), 1
    yield stream.finish(_finish_reason(reply)), 0
    if reply.reports_usage and (body.get("stream_options") or {}).get("include_usage"):
        yield stream.usage(ChatUsage.of(read, reply.output_tokens, reply.cached_tokens)), 0
    yield DONE, 0


def chat_body(reply: Reply, body: Mapping[str, Any], read: int) -> dict[str, Any]:
    """Return the body of a chat completion.

    Args:
        reply: The scripted reply.
        body: The body of the request.
        read: The number of tokens read.
    """
    calls = tuple(
        ChatToolCall(call_id(reply, index), Function(call.name, call.json)) for index, call in enumerate(reply.calls)
    )
    message = AssistantReply("".join(reply.tokens) or None, reply.refusal, tool_calls=calls or UNSET)
    usage = ChatUsage.of(read, reply.output_tokens, reply.cached_tokens) if reply.reports_usage else UNSET
    choice = Choice(message, _finish_reason(reply))
    completion = ChatCompletion(f"chatcmpl-{next(_ids):08d}", _CREATED, body.get("model", "model"), (choice,), usage)
    return msgspec.to_builtins(completion)  # type: ignore[no-any-return]


def _response(reply: Reply, body: Mapping[str, Any], read: int) -> ResponseBody:
    output: list[OutputItem] = []
    if reply.tokens or reply.refusal:
        parts: list[OutputText | Refusal] = []
        if reply.tokens:
            parts.append(OutputText("".join(reply.tokens)))
        if reply.refusal:
            parts.append(Refusal(reply.refusal))
        output.append(MessageItem(f"msg_{next(_ids):08d}", tuple(parts)))
    for index, call in enumerate(reply.calls):
        output.append(FunctionCallItem(f"fc_{next(_ids):08d}", call_id(reply, index), call.name, call.json))
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reply.stop_reason or "")
    usage = ResponseUsage.of(read, reply.output_tokens, reply.cached_tokens)
    return ResponseBody(
        id=f"resp_{next(_ids):08d}",
        created_at=_CREATED,
        model=body.get("model", "model"),
        status="incomplete" if reason else "completed",
        output=tuple(output),
        incomplete_details=Incomplete(reason) if reason else None,
        usage=usage if reply.reports_usage else None,
    )


def response_body(reply: Reply, body: Mapping[str, Any], read: int) -> dict[str, Any]:
    """Return the body of a response of the Responses API; see `chat_body`."""
    return msgspec.to_builtins(_response(reply, body, read))  # type: ignore[no-any-return]


def response_frames(reply: Reply, body: Mapping[str, Any], read: int) -> Iterator[Frame]:
    """Return the frames of a streamed response of the Responses API; see `chat_body`."""
    response, stream = _response(reply, body, read), ResponseStream()
    begun = msgspec.structs.replace(response, status="in_progress", output=(), usage=None, incomplete_details=None)

    def without_tokens(events: Iterable[bytes]) -> Iterator[Frame]:
        return ((event, 0) for event in events)

    yield from without_tokens(stream.response("created", begun) + stream.response("in_progress", begun))
    for index, item in enumerate(response.output):
        if isinstance(item, MessageItem):
            yield from without_tokens(stream.begin_message(index, item.id))
            for token in reply.tokens:
                yield stream.text(index, item.id, token)[0], 1
            yield from without_tokens(stream.end_text(index, item.id, "".join(reply.tokens)))
            if reply.refusal:
                yield from without_tokens(stream.refusal(index, item.id, len(item.content) - 1, reply.refusal))
        else:
            yield from without_tokens(stream.begin_call(index, item))
            for piece in pieces_of(item.arguments):
                yield stream.arguments(index, item.id, piece)[0], 1
            yield from without_tokens(stream.end_arguments(index, item))
        yield from without_tokens(stream.end_item(index, item))
    yield from without_tokens(stream.response(response.status, response))


def stream_error(reply: Reply, *, responses: bool = False) -> bytes:
    """Return the frame of an error inside a stream."""
    if responses:
        return ResponseStream().error(reply.error_type or "server_error", reply.error)
    return sse({"error": {"message": reply.error, "type": reply.error_type or "server_error", "code": None}})


def error_body(reply: Reply) -> dict[str, Any]:
    """Return the body of an error response."""
    code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(reply.status)
    body = errors.error_body(reply.status, reply.error, code=reply.error_type or code)
    return msgspec.to_builtins(body)  # type: ignore[no-any-return]


def embeddings_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return embeddings: vectors that depend only on the texts."""
    texts = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
    size = body.get("dimensions") or 8
    embeddings = []
    for index, text in enumerate(texts):
        digest = hashlib.shake_256(str(text).encode()).digest(size)
        embeddings.append({"object": "embedding", "index": index, "embedding": [(byte - 128) / 128 for byte in digest]})
    read = sum(len(str(text).split()) for text in texts)
    usage = {"prompt_tokens": read, "total_tokens": read}
    return {"object": "list", "data": embeddings, "model": body.get("model", "model"), "usage": usage}
