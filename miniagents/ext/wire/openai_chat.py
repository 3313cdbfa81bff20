"""OpenAI's chat completions: as a whole and as a stream."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from miniagents.ext.wire.sse import sse

_encode = msgspec.json.Encoder().encode


class Function(msgspec.Struct, frozen=True):
    """The function of a tool call: the name, and the arguments as JSON text."""

    name: str
    arguments: str


class ChatToolCall(msgspec.Struct, frozen=True):
    """A tool call of the assistant."""

    id: str
    function: Function
    type: Literal["function"] = "function"


class AssistantReply(msgspec.Struct, frozen=True):
    """The message of the assistant."""

    content: str | None
    refusal: str | None = None
    role: Literal["assistant"] = "assistant"
    tool_calls: tuple[ChatToolCall, ...] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET


class Choice(msgspec.Struct, frozen=True):
    """The only choice of a completion."""

    message: AssistantReply
    finish_reason: str
    index: int = 0
    logprobs: None = None


class PromptDetails(msgspec.Struct, frozen=True):
    """Details of the tokens read."""

    cached_tokens: int = 0
    audio_tokens: int = 0


class CompletionDetails(msgspec.Struct, frozen=True):
    """Details of the tokens written."""

    reasoning_tokens: int = 0
    audio_tokens: int = 0


class ChatUsage(msgspec.Struct, frozen=True):
    """The tokens used by a completion.

    Example:
        >>> ChatUsage.of(read=10, written=5, cached=2).total_tokens
        15
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails = PromptDetails()
    completion_tokens_details: CompletionDetails = CompletionDetails()

    @classmethod
    def of(cls, read: int, written: int, cached: int) -> "ChatUsage":
        """Return the usage for counts of tokens.

        Args:
            read: Tokens read, the cached ones included.
            written: Tokens written.
            cached: Tokens read from a cache.
        """
        return cls(read, written, read + written, PromptDetails(cached))


class ChatCompletion(msgspec.Struct, frozen=True):
    """A complete chat completion."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: ChatUsage | UnsetType = UNSET
    object: Literal["chat.completion"] = "chat.completion"
    system_fingerprint: None = None


class FunctionDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of the function of a tool call."""

    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class ToolCallDelta(msgspec.Struct, frozen=True):
    """A piece of a tool call."""

    index: int
    function: FunctionDelta
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET


class Delta(msgspec.Struct, frozen=True):
    """The addition of a chunk to the message."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    tool_calls: tuple[ToolCallDelta, ...] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET


class ChunkChoice(msgspec.Struct, frozen=True):
    """The only choice of a chunk."""

    delta: Delta
    index: int = 0
    logprobs: None = None
    finish_reason: str | None = None


class ChatChunk(msgspec.Struct, frozen=True):
    """One chunk of a streamed chat completion."""

    id: str
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]
    usage: ChatUsage | UnsetType = UNSET
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    system_fingerprint: None = None


class ChatStream:
    """A writer of streamed chat completions. Each method returns the bytes to send.

    Args:
        id: The id of the completion.
        created: The time of its beginning, in Unix seconds.
        model: The name of the model.

    Example:
        >>> ChatStream("chatcmpl-1", 1_750_000_000, "m").text("Hello")[:26]
        b'data: {"id":"chatcmpl-1","'
    """

    def __init__(self, id: str, created: int, model: str) -> None:
        self._id = id
        self._created = created
        self._model = model
        self._around_text: tuple[bytes, bytes] | None = None

    def begin(self, content: str | None = "") -> bytes:
        """Begin the message with its role."""
        return self._chunk(Delta(role="assistant", content=content, refusal=None))

    def text(self, text: str) -> bytes:
        """Add a piece of text."""
        around = self._around_text
        if around is None:
            # All but the text is encoded once, since most chunks are texts (benchmark `serving`). Within a JSON string
            # the quotes would be escaped, so this is the field.
            before, field, after = self._chunk(Delta(content="")).rpartition(b'"content":""')
            around = self._around_text = before + field[:-2], after
        return around[0] + _encode(text) + around[1]

    def reasoning(self, text: str) -> bytes:
        """Add a piece of reasoning, in the field of DeepSeek and of many other servers."""
        return self._chunk(Delta(reasoning_content=text))

    def refusal(self, text: str) -> bytes:
        """Add a piece of a refusal."""
        return self._chunk(Delta(refusal=text))

    def call(self, index: int, id: str, name: str) -> bytes:
        """Begin a tool call."""
        call = ToolCallDelta(index, FunctionDelta(name, ""), id, "function")
        return self._chunk(Delta(tool_calls=(call,)))

    def arguments(self, index: int, piece: str) -> bytes:
        """Add a piece of JSON to a tool call."""
        return self._chunk(Delta(tool_calls=(ToolCallDelta(index, FunctionDelta(arguments=piece)),)))

    def finish(self, reason: str) -> bytes:
        """End the message with its finish reason."""
        return self._chunk(Delta(), reason)

    def usage(self, usage: ChatUsage) -> bytes:
        """Write the usage, as a chunk without choices, for requests with `stream_options.include_usage`."""
        return sse(ChatChunk(self._id, self._created, self._model, (), usage))

    def _chunk(self, delta: Delta, finish_reason: str | None = None) -> bytes:
        choice = ChunkChoice(delta, finish_reason=finish_reason)
        return sse(ChatChunk(self._id, self._created, self._model, (choice,)))
