"""Scripted replies in Anthropic's wire format."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from miniagents.ext.wire.anthropic import (
    AnthropicMessage,
    AnthropicUsage,
    MessageStream,
    Stop,
    TextBlock,
    ToolUseBlock,
    anthropic_error,
)
from miniagents.ext.wire.sse import sse
from miniagents.testing.openai_wire import Frame, call_id
from miniagents.testing.script import Reply, pieces_of

_ids = itertools.count(1)


def _stop_reason(reply: Reply) -> str:
    return reply.stop_reason or ("refusal" if reply.refusal else "tool_use" if reply.calls else "end_turn")


def message_body(reply: Reply, body: Mapping[str, Any], read: int) -> dict[str, Any]:
    """Return the body of a message.

    Args:
        reply: The scripted reply.
        body: The body of the request.
        read: The number of tokens read.
    """
    content: list[TextBlock | ToolUseBlock] = []
    if reply.tokens or reply.refusal:
        content.append(TextBlock("".join(reply.tokens) or reply.refusal or ""))
    for index, call in enumerate(reply.calls):
        content.append(ToolUseBlock(call_id(reply, index, "toolu"), call.name, _input(call.json)))
    usage = AnthropicUsage.of(read, reply.output_tokens, reply.cached_tokens)
    model = body.get("model", "model")
    id, reason = f"msg_{next(_ids):08d}", _stop_reason(reply)
    message = AnthropicMessage(id=id, model=model, content=tuple(content), stop_reason=reason, usage=usage)
    return msgspec.to_builtins(message)  # type: ignore[no-any-return]


def _input(arguments: str) -> dict[str, Any]:
    """Return the input of a tool call; an empty one if its JSON is incomplete."""
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def message_frames(reply: Reply, body: Mapping[str, Any], read: int) -> Iterator[Frame]:
    """Return the frames of a streamed message; see `message_body`."""
    stream = MessageStream(f"msg_{next(_ids):08d}", body.get("model", "model"))
    yield stream.begin(AnthropicUsage.of(read, 1, reply.cached_tokens)), 0
    index = 0
    tokens = reply.tokens or ((reply.refusal,) if reply.refusal else ())
    if tokens:
        yield stream.begin_text(0), 0
        yield stream.ping(), 0
        for token in tokens:
            yield stream.text(0, token), 1
        yield stream.end_block(0), 0
        index = 1
    for number, call in enumerate(reply.calls):
        yield stream.begin_tool_use(index, call_id(reply, number, "toolu"), call.name), 0
        for piece in pieces_of(call.json):
            yield stream.input(index, piece), 1
        yield stream.end_block(index), 0
        index += 1
    yield stream.end(Stop(_stop_reason(reply)), {"output_tokens": reply.output_tokens}), 0


def error_body(reply: Reply) -> dict[str, Any]:
    """Return the body of an error response."""
    body = anthropic_error(reply.status, reply.error, kind=reply.error_type)
    return {**msgspec.to_builtins(body), "request_id": f"req_{next(_ids):08d}"}


def stream_error(reply: Reply) -> bytes:
    """Return the frame of an error inside a stream."""
    return sse(anthropic_error(529, reply.error, kind=reply.error_type), "error")
