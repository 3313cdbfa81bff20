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
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicUsage(msgspec.Struct, frozen=True):
    """Tokens that were used; those that came from a cache are not among `input_tokens`."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    @classmethod
    def of(cls, read: int, written: int, cached: int) -> "AnthropicUsage":
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


class AnthropicMessage(msgspec.Struct, frozen=True):
    """A message of the assistant."""

    id: str
    model: str
    content: tuple[TextBlock | ToolUseBlock, ...]
    stop_reason: str | None
    usage: AnthropicUsage
    stop_sequence: None = None
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
    status: int, message: str, *, kind: str | None = None, details: ErrorDetails | UnsetType = UNSET
) -> AnthropicError:
    """The body of an error response.

    Args:
        status: The HTTP status.
        message: For people.
        kind: The family of errors; None for that of the status.
        details: What the client does about it.
    """
    return AnthropicError(AnthropicErrorDetail(kind or _TYPES.get(status, "api_error"), message, details))


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
        return self._event("message_start", message=AnthropicMessage(self._id, self._model, (), None, usage))

    def begin_text(self, index: int) -> bytes:
        """A block of text begins."""
        return self._event("content_block_start", index=index, content_block=TextBlock(""))

    def text(self, index: int, text: str) -> bytes:
        """A piece of text."""
        return self._event("content_block_delta", index=index, delta={"type": "text_delta", "text": text})

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

    def end(self, stop_reason: str, usage: Any) -> bytes:
        """The message is whole."""
        delta = {"stop_reason": stop_reason, "stop_sequence": None}
        return self._event("message_delta", delta=delta, usage=usage) + self._event("message_stop")

    @staticmethod
    def _event(kind: str, **data: Any) -> bytes:
        return sse({"type": kind, **data}, kind)
