"""OpenAI's chat completions, whole and as a stream."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from miniagents.ext.wire.sse import sse

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Function(msgspec.Struct, frozen=True):
    """The function of a tool call: its name, and its arguments as JSON text."""

    name: str
    arguments: str


class ChatToolCall(msgspec.Struct, frozen=True):
    """A tool that the assistant asks for."""

    id: str
    function: Function
    type: Literal["function"] = "function"


class AssistantReply(msgspec.Struct, frozen=True):
    """What the assistant says."""

    content: str | None
    refusal: str | None = None
    role: Literal["assistant"] = "assistant"
    tool_calls: tuple[ChatToolCall, ...] | UnsetType = UNSET


class Choice(msgspec.Struct, frozen=True):
    """The one choice of a completion."""

    message: AssistantReply
    finish_reason: str
    index: int = 0
    logprobs: None = None


class PromptDetails(msgspec.Struct, frozen=True):
    """Of the tokens that were read."""

    cached_tokens: int = 0
    audio_tokens: int = 0


class CompletionDetails(msgspec.Struct, frozen=True):
    """Of the tokens that were written."""

    reasoning_tokens: int = 0
    audio_tokens: int = 0


class ChatUsage(msgspec.Struct, frozen=True):
    """Tokens that were used."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails = PromptDetails()
    completion_tokens_details: CompletionDetails = CompletionDetails()

    @classmethod
    def of(cls, read: int, written: int, cached: int) -> "ChatUsage":
        """The usage of so many tokens."""
        return cls(read, written, read + written, PromptDetails(cached))


class ChatCompletion(msgspec.Struct, frozen=True):
    """A chat completion as a whole."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: ChatUsage | UnsetType = UNSET
    object: Literal["chat.completion"] = "chat.completion"
    system_fingerprint: None = None


class FunctionDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a tool call's function."""

    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class ToolCallDelta(msgspec.Struct, frozen=True):
    """A piece of a tool call."""

    index: int
    function: FunctionDelta
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET


class Delta(msgspec.Struct, frozen=True):
    """What a chunk adds."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    tool_calls: tuple[ToolCallDelta, ...] | UnsetType = UNSET


class ChunkChoice(msgspec.Struct, frozen=True):
    """The one choice of a chunk."""

    delta: Delta
    index: int = 0
    logprobs: None = None
    finish_reason: str | None = None


class ChatChunk(msgspec.Struct, frozen=True):
    """A piece of a chat completion."""

    id: str
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]
    usage: ChatUsage | UnsetType = UNSET
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    system_fingerprint: None = None


class ChatStream:
    """Writes a chat completion as a stream; every method gives the bytes to send.

    Args:
        id: The id of the completion.
        created: When it began, in Unix seconds.
        model: Who answers.
    """

    def __init__(self, id: str, created: int, model: str) -> None:
        self._id = id
        self._created = created
        self._model = model

    def begin(self, content: str | None = "") -> bytes:
        """The role comes first."""
        return self._chunk(Delta(role="assistant", content=content, refusal=None))

    def text(self, text: str) -> bytes:
        """A piece of text."""
        return self._chunk(Delta(content=text))

    def refusal(self, text: str) -> bytes:
        """What is said instead of an answer."""
        return self._chunk(Delta(refusal=text))

    def call(self, index: int, id: str, name: str) -> bytes:
        """A tool call begins."""
        begun = ToolCallDelta(index, FunctionDelta(name, ""), id, "function")
        return self._chunk(Delta(tool_calls=(begun,)))

    def arguments(self, index: int, piece: str) -> bytes:
        """A piece of a tool call's arguments."""
        return self._chunk(Delta(tool_calls=(ToolCallDelta(index, FunctionDelta(arguments=piece)),)))

    def finish(self, reason: str) -> bytes:
        """Why it stopped."""
        return self._chunk(Delta(), reason)

    def usage(self, usage: ChatUsage) -> bytes:
        """What it used: a chunk without choices, for those who ask for it."""
        return sse(ChatChunk(self._id, self._created, self._model, (), usage))

    def _chunk(self, delta: Delta, finish_reason: str | None = None) -> bytes:
        choice = ChunkChoice(delta, finish_reason=finish_reason)
        return sse(ChatChunk(self._id, self._created, self._model, (choice,)))
