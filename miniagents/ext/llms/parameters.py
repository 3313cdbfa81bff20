"""The parameters of the providers' APIs: those that the methods of their SDKs take, and that an agent hands on."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict


class CommonParameters(TypedDict, total=False):
    """What all APIs take."""

    metadata: Any
    service_tier: str | None
    temperature: float | None
    tool_choice: Any
    top_p: float | None
    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, Any] | None
    extra_body: Mapping[str, Any] | None


class OpenAIParameters(TypedDict, total=False):
    """What both of OpenAI's APIs take beside."""

    moderation: Any
    parallel_tool_calls: bool | None
    prompt_cache_key: str | None
    prompt_cache_options: Any
    prompt_cache_retention: str | None
    safety_identifier: str | None
    store: bool | None
    stream_options: Mapping[str, Any] | None
    top_logprobs: int | None
    user: str | None


class ChatParameters(TypedDict, total=False):
    """What chat completions take beside."""

    audio: Any
    frequency_penalty: float | None
    function_call: Any
    functions: Any
    logit_bias: Mapping[str, float] | None
    logprobs: bool | None
    max_completion_tokens: int | None
    modalities: Sequence[str] | None
    n: int | None
    prediction: Any
    presence_penalty: float | None
    reasoning_effort: str | None
    response_format: Any
    seed: int | None
    stop: str | Sequence[str] | None
    verbosity: str | None
    web_search_options: Any


class ResponsesParameters(TypedDict, total=False):
    """What the Responses API takes beside."""

    access_programs: Any
    background: bool | None
    background_options: Any
    context_management: Any
    conversation: Any
    image: Any
    include: Sequence[str] | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    previous_response_id: str | None
    prompt: Any
    reasoning: Any
    text: Any
    truncation: str | None


class MessagesParameters(TypedDict, total=False):
    """What Anthropic's messages take beside. `top_k`, `temperature` and `top_p` are of the API alone, not of the SDK's
    method; they are sent all the same."""

    cache_control: Any
    container: Any
    diagnostics: Any
    inference_geo: str | None
    output_config: Any
    speed: str | None
    stop_sequences: Sequence[str] | None
    thinking: Any
    top_k: int | None
    user_profile_id: str | None
    workspace_id: str | None


class MaxTokens(TypedDict, total=False):
    """What all take; the Responses API by another name."""

    max_tokens: int | None


OWN = frozenset({"model", "messages", "input", "system", "stream", "tools", "instructions", "timeout"})
"""What the methods take, too, and an agent gives itself, or calls by another name."""

_OF_THE_REQUEST = frozenset({"extra_headers", "extra_query", "extra_body", "timeout"})
"""What is about the request, and no field of its body."""


@dataclass(frozen=True, slots=True)
class Api:
    """An API of a provider.

    Attributes:
        title: What it is called in errors.
        parameters: What it takes, as far as we know.
        fields: The fields of a body that an agent fills itself.
        method: Where the method of its SDK is: module and class.
        renamed: What an agent takes, and sends by another name.
    """

    title: str
    parameters: frozenset[str]
    fields: frozenset[str]
    method: tuple[str, str]
    renamed: frozenset[str] = frozenset()

    def takes(self, name: str) -> bool:
        """Whether it takes a parameter: one that we know, or one of the SDK that is installed."""
        return name in self.parameters | self.renamed or (name not in OWN and name in self._of_the_sdk())

    def body_fields(self) -> frozenset[str]:
        """The fields that the body of a request may have."""
        return (self.parameters | self.fields | self._of_the_sdk()) - _OF_THE_REQUEST

    def _of_the_sdk(self) -> frozenset[str]:
        module, kind = self.method
        try:
            found = getattr(importlib.import_module(module), kind)
        except (ImportError, AttributeError):
            return frozenset()
        return frozenset(inspect.signature(found.create).parameters) - {"self"}


def _names(*kinds: Any) -> frozenset[str]:
    return frozenset(name for kind in kinds for name in kind.__annotations__)


CHAT = Api(
    "chat completions",
    _names(CommonParameters, MaxTokens, OpenAIParameters, ChatParameters),
    frozenset({"model", "messages", "stream", "tools"}),
    ("openai.resources.chat.completions", "AsyncCompletions"),
)
RESPONSES = Api(
    "the Responses API",
    _names(CommonParameters, OpenAIParameters, ResponsesParameters),
    frozenset({"model", "input", "instructions", "stream", "tools"}),
    ("openai.resources.responses", "AsyncResponses"),
    renamed=frozenset({"max_tokens"}),
)
MESSAGES = Api(
    "Anthropic's messages",
    _names(CommonParameters, MaxTokens, MessagesParameters),
    frozenset({"model", "messages", "system", "stream", "tools"}),
    ("anthropic.resources.messages", "AsyncMessages"),
)
EMBEDDINGS = Api(
    "embeddings",
    frozenset({"dimensions", "encoding_format", "user"}) | _OF_THE_REQUEST - {"timeout"},
    frozenset({"model", "input"}),
    ("openai.resources.embeddings", "AsyncEmbeddings"),
)
