"""The parameters of the providers' APIs, which an agent passes on to the methods of their SDKs."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict


class CommonParameters(TypedDict, total=False):
    """The parameters that all APIs take."""

    metadata: object
    service_tier: str | None
    temperature: float | None
    tool_choice: object
    top_p: float | None
    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, object] | None
    extra_body: Mapping[str, object] | None


class OpenAIParameters(TypedDict, total=False):
    """The further parameters of both APIs of OpenAI."""

    moderation: object
    parallel_tool_calls: bool | None
    prompt_cache_key: str | None
    prompt_cache_options: object
    prompt_cache_retention: str | None
    safety_identifier: str | None
    store: bool | None
    stream_options: Mapping[str, object] | None
    top_logprobs: int | None
    user: str | None


class ChatParameters(TypedDict, total=False):
    """The further parameters of chat completions."""

    audio: object
    frequency_penalty: float | None
    function_call: object
    functions: object
    logit_bias: Mapping[str, float] | None
    logprobs: bool | None
    max_completion_tokens: int | None
    modalities: Sequence[str] | None
    n: int | None
    prediction: object
    presence_penalty: float | None
    reasoning_effort: str | None
    response_format: object
    seed: int | None
    stop: str | Sequence[str] | None
    verbosity: str | None
    web_search_options: object


class ResponsesParameters(TypedDict, total=False):
    """The further parameters of the Responses API."""

    access_programs: object
    background: bool | None
    background_options: object
    context_management: object
    conversation: object
    image: object
    include: Sequence[str] | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    previous_response_id: str | None
    prompt: object
    reasoning: object
    text: object
    truncation: str | None


class MessagesParameters(TypedDict, total=False):
    """The further parameters of Anthropic's Messages API.

    The method of its SDK does not know `top_k`, `temperature` and `top_p`; they are sent in the body."""

    cache_control: object
    container: object
    diagnostics: object
    inference_geo: str | None
    output_config: object
    speed: str | None
    stop_sequences: Sequence[str] | None
    thinking: object
    top_k: int | None
    user_profile_id: str | None
    workspace_id: str | None


class MaxTokens(TypedDict, total=False):
    """A parameter of all APIs, which has another name in the Responses API."""

    max_tokens: int | None


OWN = frozenset({"model", "messages", "input", "system", "stream", "tools", "instructions", "timeout"})
"""The parameters of the methods that an agent fills itself, or has another name for."""

_OF_THE_REQUEST = frozenset({"extra_headers", "extra_query", "extra_body", "timeout"})
"""The parameters that are no fields of the body of a request."""


@dataclass(frozen=True, slots=True)
class Api:
    """An API of a provider.

    Attributes:
        title: Its name in errors.
        parameters: The known parameters.
        fields: The fields of a body that an agent fills itself.
        method: The module and the class of the SDK's method.
        renamed: The parameters that an agent takes, and sends under another name.
        compacts: Whether the provider can shorten conversations itself.
    """

    title: str
    parameters: frozenset[str]
    fields: frozenset[str]
    method: tuple[str, str]
    renamed: frozenset[str] = frozenset()
    compacts: bool = False

    def takes(self, name: str) -> bool:
        """Return whether a parameter is a known one, or one of the installed SDK."""
        return name in self.parameters | self.renamed or (name not in OWN and name in self._of_the_sdk())

    def body_fields(self) -> frozenset[str]:
        """Return the fields that the body of a request may have."""
        return (self.parameters | self.fields | self._of_the_sdk()) - _OF_THE_REQUEST

    def _of_the_sdk(self) -> frozenset[str]:
        module, kind = self.method
        try:
            resource = getattr(importlib.import_module(module), kind)
        except (ImportError, AttributeError):
            return frozenset()
        return frozenset(inspect.signature(resource.create).parameters) - {"self"}


def _names(*kinds: type) -> frozenset[str]:
    return frozenset(name for kind in kinds for name in kind.__annotations__)


CHAT = Api(
    "chat completions",
    _names(CommonParameters, MaxTokens, OpenAIParameters, ChatParameters),
    frozenset({"model", "messages", "stream", "tools"}),
    ("openai.resources.chat.completions", "AsyncCompletions"),
    renamed=frozenset({"effort"}),
)
RESPONSES = Api(
    "the Responses API",
    _names(CommonParameters, OpenAIParameters, ResponsesParameters),
    frozenset({"model", "input", "instructions", "stream", "tools"}),
    ("openai.resources.responses", "AsyncResponses"),
    renamed=frozenset({"max_tokens", "effort"}),
    compacts=True,
)
MESSAGES = Api(
    "Anthropic's messages",
    _names(CommonParameters, MaxTokens, MessagesParameters),
    frozenset({"model", "messages", "system", "stream", "tools"}),
    ("anthropic.resources.messages", "AsyncMessages"),
    compacts=True,
    renamed=frozenset({"effort"}),
)
EMBEDDINGS = Api(
    "embeddings",
    frozenset({"dimensions", "encoding_format", "user"}) | _OF_THE_REQUEST - {"timeout"},
    frozenset({"model", "input"}),
    ("openai.resources.embeddings", "AsyncEmbeddings"),
)
