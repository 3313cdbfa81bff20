"""What stands between the agents and the providers: a request, and the events of its answer."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from miniagents.ext.llms.calls import ToolCalls
from miniagents.ext.llms.messages import ReplyMessage, ToolCall, Usage
from miniagents.ext.llms.schemas import OutputType
from miniagents.messages import EMPTY, Message


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool.

    Attributes:
        name: Its name: 1 to 64 letters, digits, `_` and `-`.
        description: What it is for.
        schema: The JSON schema of its arguments; those with a default may be left out.
        strict_schema: The same for strict mode: all arguments are there, and null stands for the default. None where
            strict mode cannot take it.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    strict_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to a model.

    Attributes:
        model: The model, as the provider calls it.
        messages: The conversation: system prompts first, calls and results matched.
        stream: Whether the answer comes token by token.
        options: What goes to the API call as it is.
        tools: The tools that the model may call.
        output: The type of the answer, or None for text.
        timeout: Seconds until the deadline, or None.
        idempotency_key: One for all attempts.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = True
    options: Mapping[str, Any] = EMPTY
    tools: tuple[ToolSpec, ...] = ()
    output: OutputType | None = None
    timeout: float | None = None
    idempotency_key: str = ""


@dataclass(slots=True)
class Answer:
    """The answer of a model, as far as it has come.

    Attributes:
        tokens: The pieces of its text.
        calls: The tool calls.
        usage: What the provider says was used, or None.
        stop_reason: Why it stopped; None until it has.
        refusal: What it said instead of an answer.
        request_id: The provider's id of the request.
        model: The model that answered.
        limits: The provider's rate-limit headers.
        extra: What must go back to the provider with the next request (reasoning).
        silent_tokens: Tokens that came without being text: reasoning, tool calls.
    """

    tokens: list[str] = field(default_factory=list)
    calls: ToolCalls = field(default_factory=ToolCalls)
    usage: Usage | None = None
    stop_reason: str | None = None
    refusal: str | None = None
    request_id: str | None = None
    model: str | None = None
    limits: Mapping[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    silent_tokens: int = 0

    def call_piece(self, place: int | str | None, call_id: str, name: str, arguments: str) -> None:
        """A piece of a tool call came; see `ToolCalls.piece`."""
        self.calls.piece(place, call_id, name, arguments)
        self.silent_tokens += 1

    @property
    def has_content(self) -> bool:
        """Whether it says anything."""
        return bool(self.calls or self.refusal or any(self.tokens))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in order."""
        return self.calls.all()

    def metadata(self, **more: Any) -> dict[str, Any]:
        """What a reply has as metadata."""
        found = {
            "model": self.model,
            "stop_reason": self.stop_reason,
            "refusal": self.refusal,
            "request_id": self.request_id,
            "usage": msgspec.structs.asdict(self.usage) if self.usage is not None else None,
            **self.extra,
            **more,
        }
        return {name: value for name, value in found.items() if value is not None}

    def message(self, **more: Any) -> ReplyMessage:
        """The answer as a message."""
        return ReplyMessage("".join(self.tokens), tool_calls=self.tool_calls).with_metadata(**self.metadata(**more))


class Provider(Protocol):
    """An API that serves models.

    Attributes:
        name: What it is called in logs and keys: "openai", "anthropic".
        key: What tells this one from others in caches and among shared clients: name and address, no secrets.
    """

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str: ...

    def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str | None, None]:
        """Ask, and fill the answer as it comes.

        Args:
            request: What to ask.
            answer: Where everything goes that is no text.

        Yields:
            The pieces of the text; an empty one for anything else of the answer that came, and None for what is no part
            of it, a keep-alive for one: it shows that the provider has not stalled.

        Raises:
            ProviderError: It failed.
        """
        ...
