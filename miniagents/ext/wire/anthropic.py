"""Anthropic's Messages API, whole and as a stream."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from miniagents.ext.wire.sse import sse

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class CacheCreation(msgspec.Struct, frozen=True):
    """Tokens that were written to a cache, by how long they stay."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class AnthropicUsage(msgspec.Struct, frozen=True):
    """Tokens that were used; those that came from a cache are not among `input_tokens`."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_creation: CacheCreation = CacheCreation()
    server_tool_use: None = None
    service_tier: Literal["standard"] = "standard"

    @classmethod
    def of(cls, read: int, written: int, cached: int) -> "AnthropicUsage":
        """The usage of so many tokens, the cached ones among those that were read."""
        return cls(read - cached, written, cached)


class DeltaUsage(msgspec.Struct, frozen=True):
    """Tokens that were used, in all, at the end of a stream."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    server_tool_use: None = None

    @classmethod
    def of(cls, read: int, written: int, cached: int) -> "DeltaUsage":
        """The usage of so many tokens, the cached ones among those that were read."""
        return cls(read - cached, written, cached)


class TextBlock(msgspec.Struct, frozen=True, tag="text", tag_field="type"):
    """Text."""

    text: str


class ToolUseBlock(msgspec.Struct, frozen=True, tag="tool_use", tag_field="type"):
    """A tool that the assistant asks for."""

    id: str
    name: str
    input: dict[str, Any]


class ThinkingBlock(msgspec.Struct, frozen=True, tag="thinking", tag_field="type"):
    """What a model thought."""

    thinking: str
    signature: str


class RedactedThinkingBlock(msgspec.Struct, frozen=True, tag="redacted_thinking", tag_field="type"):
    """What a model thought, encrypted."""

    data: str


class RefusalDetails(msgspec.Struct, frozen=True):
    """Why there is no answer."""

    category: None = None
    explanation: str | None = None
    type: Literal["refusal"] = "refusal"


class Stop(msgspec.Struct, frozen=True):
    """How a message ended.

    Attributes:
        stop_reason: Why, in Anthropic's words; None as long as it has not.
        stop_sequence: The sequence that ended it.
        stop_details: More of a refusal.
        container: Where its code ran; there is none.
    """

    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: RefusalDetails | None = None
    container: None = None


class AnthropicMessage(Stop, frozen=True, kw_only=True):
    """A message of the assistant."""

    id: str
    model: str
    content: tuple[TextBlock | ToolUseBlock | ThinkingBlock | RedactedThinkingBlock, ...]
    usage: AnthropicUsage
    role: Literal["assistant"] = "assistant"
    type: Literal["message"] = "message"


class ErrorDetails(msgspec.Struct, frozen=True):
    """What a client does about an error.

    Attributes:
        error_code: Which error it is.
        unsupported: What the request may not have.
    """

    error_code: str
    unsupported: tuple[str, ...] = ()


class AnthropicErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong."""

    type: str
    message: str
    details: ErrorDetails | UnsetType = UNSET


class AnthropicError(msgspec.Struct, frozen=True):
    """The body of every response that is an error, and the event of a stream that failed."""

    error: AnthropicErrorDetail
    request_id: str | UnsetType = UNSET
    type: Literal["error"] = "error"


def anthropic_error(
    status: int,
    message: str,
    *,
    kind: str | None = None,
    details: ErrorDetails | UnsetType = UNSET,
    request_id: str | None = None,
) -> AnthropicError:
    """The body of an error response.

    Args:
        status: The HTTP status.
        message: For people.
        kind: The family of errors; None for that of the status.
        details: What the client does about it.
        request_id: The id of the request; None to leave it out.
    """
    detail = AnthropicErrorDetail(kind or _TYPES.get(status, "api_error"), message, details)
    return AnthropicError(detail, UNSET if request_id is None else request_id)


class MessageStream:
    """Writes a message as a stream; every method gives the bytes to send.

    Args:
        id: The id of the message.
        model: Who answers.
    """

    def __init__(self, id: str, model: str) -> None:
        self._id = id
        self._model = model

    def begin(self, usage: AnthropicUsage) -> bytes:
        """The message begins."""
        message = AnthropicMessage(id=self._id, model=self._model, content=(), usage=usage)
        return self._event("message_start", message=message)

    def begin_text(self, index: int) -> bytes:
        """A block of text begins."""
        return self._event("content_block_start", index=index, content_block=TextBlock(""))

    def text(self, index: int, text: str) -> bytes:
        """A piece of text."""
        return self._event("content_block_delta", index=index, delta={"type": "text_delta", "text": text})

    def thinking(self, index: int, block: ThinkingBlock | RedactedThinkingBlock) -> bytes:
        """A block of thoughts, whole."""
        if isinstance(block, RedactedThinkingBlock):
            return self._event("content_block_start", index=index, content_block=block) + self.end_block(index)
        deltas = (
            {"type": "thinking_delta", "thinking": block.thinking},
            {"type": "signature_delta", "signature": block.signature},
        )
        begin = self._event("content_block_start", index=index, content_block=ThinkingBlock("", ""))
        pieces = [self._event("content_block_delta", index=index, delta=delta) for delta in deltas]
        return b"".join((begin, *pieces, self.end_block(index)))

    def begin_tool_use(self, index: int, id: str, name: str) -> bytes:
        """A tool call begins."""
        return self._event("content_block_start", index=index, content_block=ToolUseBlock(id, name, {}))

    def input(self, index: int, piece: str) -> bytes:
        """A piece of a tool call's JSON."""
        return self._event(
            "content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": piece}
        )

    def end_block(self, index: int) -> bytes:
        """A block is whole."""
        return self._event("content_block_stop", index=index)

    def ping(self) -> bytes:
        """Nothing."""
        return self._event("ping")

    def end(self, stop: Stop, usage: Any) -> bytes:
        """The message is whole.

        Args:
            stop: How it ended.
            usage: What it used, in all.
        """
        return self._event("message_delta", delta=stop, usage=usage) + self._event("message_stop")

    @staticmethod
    def _event(kind: str, **data: Any) -> bytes:
        return sse({"type": kind, **data}, kind)
