"""The interface between agents and providers: `ModelRequest`, `Answer`, `Provider`."""

import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import msgspec

from miniagents.ext.llms.blocks import KEY, Blocks, Origin, blocks_in
from miniagents.ext.llms.calls import ToolCalls
from miniagents.ext.llms.messages import ReplyMessage, ToolCall, Usage
from miniagents.ext.llms.schemas import OutputType
from miniagents.messages import EMPTY, Message, Token
from miniagents.messages.frozen import thaw


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """The description of a tool that a model is told.

    Attributes:
        name: Its name: 1 to 64 letters, digits, `_` and `-`.
        description: What the tool does.
        schema: The JSON schema of its arguments; arguments with a default are optional.
        strict_schema: The JSON schema for strict mode: all arguments are required, and null stands for the default.
            None if strict mode cannot take it.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    strict_schema: Mapping[str, Any] | None = None


def _new_key() -> str:
    return os.urandom(16).hex()


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to a model.

    Attributes:
        model: The provider's name of the model.
        messages: The conversation: system prompts first, each tool call with its result.
        stream: Whether the answer streams token by token.
        options: Parameters of the API call, passed on as they are.
        tools: The tools that the model may call.
        output: The type of structured output, or None for text.
        timeout: Seconds until the deadline, or None.
        idempotency_key: A key that all attempts of the request share; by default a new one. Equal requests may have
            different keys.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = True
    options: Mapping[str, Any] = EMPTY
    tools: tuple[ToolSpec, ...] = ()
    output: OutputType | None = None
    timeout: float | None = None
    idempotency_key: str = field(default_factory=_new_key, compare=False)


@dataclass(slots=True)
class Answer:
    """The answer of a model, which its provider fills as it arrives.

    Attributes:
        tokens: The pieces of its text.
        calls: The tool calls.
        usage: The tokens used, as the provider counts them, or None.
        stop_reason: The provider's reason for the end of the answer; None before the end.
        refusal: The text with which the model refused to answer, or None.
        request_id: The provider's id of the request.
        model: The model that answered.
        service_tier: The tier that served the request; None for the standard one.
        limits: The provider's rate-limit headers.
        extra: More metadata of the reply.
        origin: The provider and the model that answer; None if the provider keeps no blocks.
        blocks: The provider's blocks in order, if the answer has more than text and tool calls.
        has_parts: Whether the answer has other parts than text, tool calls and reasoning.
        arrived: The tokens of parts that have arrived, and are not in the stream yet.
        silent_tokens: The number of tokens that are not text: reasoning, tool calls.
        embeddings: The vectors, where the request was for embeddings.
        is_cached: Whether the answer comes from a cache.
    """

    tokens: list[str] = field(default_factory=list)
    calls: ToolCalls = field(default_factory=ToolCalls)
    usage: Usage | None = None
    stop_reason: str | None = None
    refusal: str | None = None
    request_id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    limits: Mapping[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    blocks: list[dict[str, Any]] = field(default_factory=list)
    has_parts: bool = False
    arrived: list[Token] = field(default_factory=list)
    silent_tokens: int = 0
    embeddings: tuple[tuple[float, ...], ...] = ()
    is_cached: bool = False

    @classmethod
    def from_reply(cls, tokens: Iterable[str], reply: ReplyMessage) -> Self:
        """Make an answer again from the tokens and the message that it once was.

        Args:
            tokens: The pieces of the text.
            reply: The message, see `message`.
        """
        metadata: dict[str, Any] = thaw(reply.metadata)
        usage = metadata.pop("usage", None)
        answer = cls(
            tokens=list(tokens),
            usage=Usage(**usage) if usage is not None else None,
            stop_reason=metadata.pop("stop_reason", None),
            refusal=metadata.pop("refusal", None),
            request_id=metadata.pop("request_id", None),
            model=metadata.pop("model", None),
            extra=metadata,
        )
        for place, call in enumerate(reply.tool_calls):
            answer.calls.complete(place, call.id, call.name, call.arguments)
        return answer

    def call_piece(self, place: int | str | None, call_id: str, name: str, arguments: str) -> None:
        """Add a piece of a tool call; see `ToolCalls.piece`."""
        self.calls.piece(place, call_id, name, arguments)
        self.silent_tokens += 1

    @property
    def has_content(self) -> bool:
        """True if the answer has text, a refusal, a tool call or another part; reasoning alone is no content."""
        return bool(self.calls or self.refusal or self.has_parts or any(self.tokens))

    @property
    def parts(self) -> tuple[Message, ...]:
        """The parts that are neither text nor tool calls; see `ReplyMessage.parts`."""
        blocks = blocks_in(self.extra) or (Blocks(self.origin, self.blocks) if self.blocks and self.origin else None)
        return blocks.parts if blocks is not None else ()

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in order."""
        return self.calls.all()

    def metadata(self, **more: object) -> dict[str, Any]:
        """Return the metadata of the reply, with `more` added; None values are left out."""
        usage = msgspec.structs.asdict(self.usage) if self.usage is not None else None
        if usage is not None and not usage["reasoning_tokens"]:  # most requests have none, and histories are long
            del usage["reasoning_tokens"]
        if usage is not None and not usage["cache_written_tokens"]:
            del usage["cache_written_tokens"]
        if usage is not None and usage["service_tier"] is None:
            del usage["service_tier"]
        fields = {
            "model": self.model,
            "stop_reason": self.stop_reason,
            "refusal": self.refusal,
            "request_id": self.request_id,
            "usage": usage,
            "cached": True if self.is_cached else None,
            KEY: Blocks(self.origin, self.blocks).as_metadata() if self.blocks and self.origin is not None else None,
            **self.extra,
            **more,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def message(self, **more: object) -> ReplyMessage:
        """Return the answer as a message, with `more` in its metadata."""
        return ReplyMessage("".join(self.tokens), tool_calls=self.tool_calls, metadata=self.metadata(**more))


class Provider(Protocol):
    """An API that serves models.

    Attributes:
        name: Its name in logs and errors: "openai", "anthropic".
        key: A text that differs between providers with different answers, for caches: name and address, no secrets.
    """

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str: ...

    def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str | None, None]:
        """Send a request and fill the answer as it arrives.

        Args:
            request: The request.
            answer: The answer. The provider fills all of it but the tokens.

        Yields:
            The pieces of the text. An empty piece stands for another part of the answer. None stands for anything that
            is no part of the answer, such as a keep-alive, and shows that the provider has not stalled.

        Raises:
            ProviderError: The request failed, or the answer is not whole.
        """
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """A provider that counts the tokens of a request before it is sent."""

    async def count_tokens(self, request: ModelRequest) -> int | None:
        """Return the input tokens of a request, tools and system prompts included; None if this API does not count.

        Raises:
            Exception: The provider has not answered.
        """
        ...


@runtime_checkable
class Compacts(Protocol):
    """A provider that shortens conversations itself."""

    def compacting(self, options: Mapping[str, Any], tokens: int, instructions: str | None) -> dict[str, Any]:
        """Return the parameters of an API call with those for compaction.

        Args:
            options: The parameters so far.
            tokens: The input tokens above which the provider shortens a conversation.
            instructions: The prompt for the summary; None for the provider's own.

        Raises:
            InvalidOptionError: This API does not compact, or takes no instructions.
        """
        ...
