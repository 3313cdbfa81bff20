"""Anthropic's Messages API: a message as a whole and as a stream, and errors."""

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
    """The tokens written to a cache, by the time that they stay there."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class AnthropicUsage(msgspec.Struct, frozen=True):
    """The tokens used by a message. Tokens read from a cache do not count as `input_tokens`.

    Example:
        >>> usage = AnthropicUsage.of(read=100, written=20, cached=30)
        >>> usage.input_tokens, usage.cache_read_input_tokens
        (70, 30)
    """

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_creation: CacheCreation = CacheCreation()
    server_tool_use: None = None
    service_tier: Literal["standard"] = "standard"

    @classmethod
    def of(cls, read: int, written: int, cached: int) -> "AnthropicUsage":
        """Return the usage for counts of tokens.

        Args:
            read: Tokens read, the cached ones included.
            written: Tokens written.
            cached: Tokens read from a cache.
        """
        return cls(read - cached, written, cached)


class DeltaUsage(msgspec.Struct, frozen=True):
    """The total tokens used, as the end of a stream reports them."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    server_tool_use: None = None

    @classmethod
    def of(cls, read: int, written: int, cached: int) -> "DeltaUsage":
        """Return the usage for counts of tokens.

        Args:
            read: Tokens read, the cached ones included.
            written: Tokens written.
            cached: Tokens read from a cache.
        """
        return cls(read - cached, written, cached)


class TextBlock(msgspec.Struct, frozen=True, tag="text", tag_field="type"):
    """A block of text."""

    text: str


class ToolUseBlock(msgspec.Struct, frozen=True, tag="tool_use", tag_field="type"):
    """A tool call of the assistant."""

    id: str
    name: str
    input: dict[str, Any]


class ThinkingBlock(msgspec.Struct, frozen=True, tag="thinking", tag_field="type"):
    """The thoughts of a model."""

    thinking: str
    signature: str


class RedactedThinkingBlock(msgspec.Struct, frozen=True, tag="redacted_thinking", tag_field="type"):
    """The thoughts of a model, encrypted."""

    data: str


class RefusalDetails(msgspec.Struct, frozen=True):
    """The reason for a refusal."""

    category: None = None
    explanation: str | None = None
    type: Literal["refusal"] = "refusal"


class Stop(msgspec.Struct, frozen=True):
    """The end of a message.

    Attributes:
        stop_reason: The reason in Anthropic's words; None while the message has not ended.
        stop_sequence: The stop sequence that ended the message, or None.
        stop_details: The reason for a refusal, or None.
        container: Always None: no code is run.
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
    """Facts about an error, to which a client reacts.

    Attributes:
        error_code: The code of the error.
        unsupported: The features that the request must not use.
    """

    error_code: str
    unsupported: tuple[str, ...] = ()


class AnthropicErrorDetail(msgspec.Struct, frozen=True):
    """The type and the text of an error."""

    type: str
    message: str
    details: ErrorDetails | UnsetType = UNSET


class AnthropicError(msgspec.Struct, frozen=True):
    """The body of an error response, and the event of a failed stream."""

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
    """Return the body of an error response.

    Args:
        status: The HTTP status.
        message: The text of the error.
        kind: The type of the error; None for the usual one of the status.
        details: Facts for the client, which reacts to them; left out by default.
        request_id: The id of the request; None to leave it out.

    Example:
        >>> anthropic_error(429, "slow down").error.type
        'rate_limit_error'
    """
    detail = AnthropicErrorDetail(kind or _TYPES.get(status, "api_error"), message, details)
    return AnthropicError(detail, UNSET if request_id is None else request_id)


class MessageStream:
    """A writer of streamed messages. Each method returns the bytes to send.

    Args:
        id: The id of the message.
        model: The name of the model.

    Example:
        >>> MessageStream("msg_1", "m").text(0, "Hello").splitlines()[0]
        b'event: content_block_delta'
    """

    def __init__(self, id: str, model: str) -> None:
        self._id = id
        self._model = model

    def begin(self, usage: AnthropicUsage) -> bytes:
        """Begin the message.

        Args:
            usage: The tokens read.
        """
        message = AnthropicMessage(id=self._id, model=self._model, content=(), usage=usage)
        return self._event("message_start", message=message)

    def begin_text(self, index: int) -> bytes:
        """Begin a block of text."""
        return self._event("content_block_start", index=index, content_block=TextBlock(""))

    def text(self, index: int, text: str) -> bytes:
        """Add a piece of text to a block."""
        return self._event("content_block_delta", index=index, delta={"type": "text_delta", "text": text})

    def begin_thinking(self, index: int) -> bytes:
        """Begin a block of thoughts."""
        return self._event("content_block_start", index=index, content_block=ThinkingBlock("", ""))

    def thinking(self, index: int, text: str) -> bytes:
        """Add a piece to a block of thoughts."""
        return self._event("content_block_delta", index=index, delta={"type": "thinking_delta", "thinking": text})

    def end_thinking(self, index: int, signature: str = "") -> bytes:
        """End a block of thoughts, with its signature."""
        delta = {"type": "signature_delta", "signature": signature}
        signed = self._event("content_block_delta", index=index, delta=delta) if signature else b""
        return signed + self.end_block(index)

    def redacted(self, index: int, block: RedactedThinkingBlock) -> bytes:
        """Write a block of encrypted thoughts."""
        return self._event("content_block_start", index=index, content_block=block) + self.end_block(index)

    def begin_tool_use(self, index: int, id: str, name: str) -> bytes:
        """Begin a tool call."""
        return self._event("content_block_start", index=index, content_block=ToolUseBlock(id, name, {}))

    def input(self, index: int, piece: str) -> bytes:
        """Add a piece of JSON to a tool call."""
        return self._event(
            "content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": piece}
        )

    def end_block(self, index: int) -> bytes:
        """End a block."""
        return self._event("content_block_stop", index=index)

    def ping(self) -> bytes:
        """Write a ping, which keeps the connection open."""
        return self._event("ping")

    def end(self, stop: Stop, usage: DeltaUsage | dict[str, int]) -> bytes:
        """End the message.

        Args:
            stop: The end of the message.
            usage: The total tokens used: a `DeltaUsage`, or the fields of one.
        """
        return self._event("message_delta", delta=stop, usage=usage) + self._event("message_stop")

    @staticmethod
    def _event(kind: str, **data: Any) -> bytes:
        return sse({"type": kind, **data}, kind)
