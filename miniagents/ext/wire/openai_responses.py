"""OpenAI's Responses API: a response as a whole and as a stream."""

from typing import Any, Literal

import msgspec

from miniagents.ext.wire.sse import sse


class InputDetails(msgspec.Struct, frozen=True):
    """Details of the tokens read."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(msgspec.Struct, frozen=True):
    """Details of the tokens written."""

    reasoning_tokens: int = 0


class ResponseUsage(msgspec.Struct, frozen=True):
    """The tokens used by a response.

    Example:
        >>> ResponseUsage.of(read=10, written=5, cached=2).total_tokens
        15
    """

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputDetails = InputDetails()
    output_tokens_details: OutputDetails = OutputDetails()

    @classmethod
    def of(cls, read: int, written: int, cached: int) -> "ResponseUsage":
        """Return the usage for counts of tokens.

        Args:
            read: Tokens read, the cached ones included.
            written: Tokens written.
            cached: Tokens read from a cache.
        """
        return cls(read, written, read + written, InputDetails(cached))


class OutputText(msgspec.Struct, frozen=True, tag="output_text", tag_field="type"):
    """Text of the assistant."""

    text: str
    annotations: tuple[()] = ()
    logprobs: tuple[()] = ()


class Refusal(msgspec.Struct, frozen=True, tag="refusal", tag_field="type"):
    """A refusal of the assistant."""

    refusal: str


class MessageItem(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    """A message of the assistant."""

    id: str
    content: tuple[OutputText | Refusal, ...]
    status: Literal["in_progress", "completed", "incomplete"] = "completed"
    role: Literal["assistant"] = "assistant"


class FunctionCallItem(msgspec.Struct, frozen=True, tag="function_call", tag_field="type"):
    """A tool call of the assistant."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: Literal["in_progress", "completed", "incomplete"] = "completed"


OutputItem = MessageItem | FunctionCallItem


class ResponseFailure(msgspec.Struct, frozen=True):
    """The reason for a failed response."""

    code: str
    message: str


class Incomplete(msgspec.Struct, frozen=True):
    """The reason for an incomplete response."""

    reason: str


class ConversationOf(msgspec.Struct, frozen=True):
    """The conversation that a response belongs to."""

    id: str


PLAIN_TEXT: dict[str, Any] = {"format": {"type": "text"}}
NO_REASONING: dict[str, Any] = {"effort": None, "summary": None}


class ResponseBody(msgspec.Struct, frozen=True):
    """A response. It also repeats the options of the request."""

    id: str
    created_at: int
    model: str
    status: Literal["queued", "in_progress", "completed", "failed", "cancelled", "incomplete"]
    output: tuple[OutputItem, ...] = ()
    error: ResponseFailure | None = None
    incomplete_details: Incomplete | None = None
    usage: ResponseUsage | None = None
    background: bool = False
    completed_at: int | None = None
    conversation: ConversationOf | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata: dict[str, str] = {}
    object: Literal["response"] = "response"
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    prompt: Any = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    reasoning: dict[str, Any] = msgspec.field(default_factory=NO_REASONING.copy)
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool = True
    temperature: float | None = None
    text: dict[str, Any] = msgspec.field(default_factory=PLAIN_TEXT.copy)
    tool_choice: str | dict[str, Any] = "auto"
    tools: tuple[dict[str, Any], ...] = ()
    top_logprobs: int = 0
    top_p: float | None = None
    truncation: str = "disabled"
    user: str | None = None


class ResponseStream:
    """A writer of the events of a response. Each method returns the bytes to send.

    Attributes:
        next_number: The number of the next event; the first one has 0.

    Example:
        >>> ResponseStream().text(0, "msg_1", "Hello")[0][:33]
        b'event: response.output_text.delta'
    """

    def __init__(self) -> None:
        self.next_number = 0

    def response(self, kind: str, body: ResponseBody) -> list[bytes]:
        """Write the whole response, as `response.created`, `.queued`, `.in_progress`, `.completed`, `.failed` or
        `.incomplete`.
        """
        return [self._event(f"response.{kind}", response=body)]

    def begin_message(self, index: int, id: str) -> list[bytes]:
        """Begin a message and its text."""
        return [self._item("added", index, MessageItem(id, (), "in_progress")), self._part("added", index, id, "")]

    def text(self, index: int, id: str, text: str) -> list[bytes]:
        """Add a piece of text to a message."""
        where = {"item_id": id, "output_index": index, "content_index": 0}
        return [self._event("response.output_text.delta", **where, delta=text, logprobs=())]

    def end_text(self, index: int, id: str, text: str) -> list[bytes]:
        """End the text of a message."""
        where = {"item_id": id, "output_index": index, "content_index": 0}
        done = self._event("response.output_text.done", **where, text=text, logprobs=())
        return [done, self._part("done", index, id, text)]

    def refusal(self, index: int, id: str, content_index: int, text: str) -> list[bytes]:
        """Write a refusal."""
        where = {"item_id": id, "output_index": index, "content_index": content_index}
        return [
            self._event("response.refusal.delta", **where, delta=text),
            self._event("response.refusal.done", **where, refusal=text),
        ]

    def begin_call(self, index: int, item: FunctionCallItem) -> list[bytes]:
        """Begin a tool call."""
        return [self._item("added", index, msgspec.structs.replace(item, arguments="", status="in_progress"))]

    def arguments(self, index: int, id: str, piece: str) -> list[bytes]:
        """Add a piece of JSON to a tool call."""
        where = {"item_id": id, "output_index": index}
        return [self._event("response.function_call_arguments.delta", **where, delta=piece)]

    def end_arguments(self, index: int, item: FunctionCallItem) -> list[bytes]:
        """End the arguments of a tool call."""
        where = {"item_id": item.id, "output_index": index}
        done = {"name": item.name, "arguments": item.arguments}
        return [self._event("response.function_call_arguments.done", **where, **done)]

    def end_item(self, index: int, item: OutputItem) -> list[bytes]:
        """End an item."""
        return [self._item("done", index, item)]

    def error(self, code: str, message: str) -> bytes:
        """Write the failure of the stream itself."""
        return self._event("error", code=code, message=message, param=None)

    def _item(self, kind: str, index: int, item: OutputItem) -> bytes:
        return self._event(f"response.output_item.{kind}", output_index=index, item=item)

    def _part(self, kind: str, index: int, id: str, text: str) -> bytes:
        where = {"item_id": id, "output_index": index, "content_index": 0}
        return self._event(f"response.content_part.{kind}", **where, part=OutputText(text))

    def _event(self, kind: str, **data: Any) -> bytes:
        number = self.next_number
        self.next_number += 1
        return sse({"type": kind, "sequence_number": number, **data}, kind)
