"""`AnthropicProvider`: Anthropic's Messages API, through the official SDK."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec

from miniagents.ext.llms.blocks import origin_of, provider_at
from miniagents.ext.llms.messages import ReplyMessage, ToolResultMessage
from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.ext.llms.providers.anthropic_caching import place_breakpoints
from miniagents.ext.llms.providers.anthropic_effort import set_effort
from miniagents.ext.llms.providers.anthropic_mapping import FIRST_USER_MESSAGE, to_anthropic, tools_for_anthropic
from miniagents.ext.llms.providers.anthropic_parts import API
from miniagents.ext.llms.providers.clients import as_parameters, call_options, sdk, without_retries
from miniagents.ext.llms.providers.endpoint import Endpoint
from miniagents.ext.llms.providers.messages_reader import MessagesReader
from miniagents.ext.llms.providers.response_stream import read_response
from miniagents.ext.llms.schemas import OutputType
from miniagents.messages import Message, SystemMessage

COMPACTION_BETA = "compact-2026-01-12"
"""The value of the header `anthropic-beta` for compaction by the provider."""

_LEAST_TRIGGER = 50_000
"""The lowest trigger of compaction that the API takes, in tokens."""
_COUNTED = frozenset({"messages", "system", "tools", "tool_choice", "thinking", "output_config", "extra_headers"})
"""The parameters of a request that its tokens depend on."""


class AnthropicProvider:
    """Anthropic's API.

    Args:
        client: An `anthropic.AsyncAnthropic`.
        key_source: The name of the argument or of the environment variable that its key came from.
        name: The name of the provider in logs and errors.
        is_cloud: Whether the client gets credentials of a cloud with its first request.
    """

    def __init__(
        self, client: Any, key_source: str = "async_client=", *, name: str = "anthropic", is_cloud: bool = False
    ) -> None:
        self.name = name
        self._client = without_retries(client)
        self._endpoint = Endpoint(name, "anthropic", key_source, is_cloud)
        self.address = str(client.base_url)
        self.key = f"{self.name} {client.base_url}"
        self._family = provider_at(self.address, API)

    def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str | None, None]:
        """Send a request and fill the answer as it arrives; see `Provider`."""
        answer.origin = origin_of(API, self._family, request.model)
        return read_response(self._endpoint, request, answer, lambda: self._create(request), MessagesReader(answer))

    async def count_tokens(self, request: ModelRequest) -> int:
        """Return the input tokens of a request; see `CountsTokens`."""
        options = self._options(request)
        options["extra_headers"].pop("Idempotency-Key", None)  # it is that of the request itself
        counted = {name: value for name, value in options.items() if name in _COUNTED}
        result = await self._client.messages.count_tokens(model=request.model, **counted)
        return int(result.input_tokens)

    def compacting(self, options: Mapping[str, Any], tokens: int, instructions: str | None) -> dict[str, Any]:
        """Return options with those of Anthropic's compaction, a beta of its API; see `Compacts`."""
        edit: dict[str, Any] = {"type": "compact_20260112"}
        edit["trigger"] = {"type": "input_tokens", "value": max(tokens, _LEAST_TRIGGER)}
        if instructions is not None:
            edit["instructions"] = instructions
        headers = dict(options.get("extra_headers") or {})
        betas = [beta for beta in (headers.get("anthropic-beta"), COMPACTION_BETA) if beta]
        headers["anthropic-beta"] = ",".join(betas)
        return {**options, "extra_headers": headers, "context_management": {"edits": [edit]}}

    def _create(self, request: ModelRequest) -> Any:
        messages_api = self._client.messages
        options = self._options(request)
        return messages_api.with_streaming_response.create(
            model=request.model, stream=request.stream, **as_parameters(messages_api.create, options)
        )

    def _options(self, request: ModelRequest) -> dict[str, Any]:
        """Return the parameters of a request, its conversation included."""
        options = call_options(request)
        set_effort(options, request.model)
        first = options.pop("fake_first_user_message", None) or FIRST_USER_MESSAGE
        conversation, output = request.messages, request.output
        if output is not None and output.unfit:
            conversation = (*conversation, _told(output))
        elif output is not None:
            options["output_config"] = {
                **options.get("output_config", {}),
                "format": {"type": "json_schema", "schema": _schema_for(output)},
            }
        origin = origin_of(API, self._family, request.model)
        container = _container_of(request.messages)
        if container is not None:
            options.setdefault("container", container)
        system, options["messages"] = to_anthropic(conversation, first_user_message=first, origin=origin)
        if system:
            options["system"] = system
        if request.tools:
            options["tools"] = [*tools_for_anthropic(request.tools), *options.get("tools", ())]
        if options.pop("cache_prompt", False):
            place_breakpoints(options)
        return options


def _container_of(messages: Sequence[Message]) -> str | None:
    """Return the container in which hosted code has run in this turn: the code goes on there."""
    for message in reversed(messages):
        if isinstance(message, ReplyMessage) and "container" in message.metadata:
            return str(message.metadata["container"])
        if not isinstance(message, (ReplyMessage, ToolResultMessage)):
            return None
    return None


def _told(output: OutputType) -> SystemMessage:
    """Return a prompt with the schema of an output, for types that the API cannot hold a model to."""
    schema = msgspec.json.encode(output.schema).decode()
    return SystemMessage(f"Answer with nothing but JSON that fits this JSON schema, without a code block:\n{schema}")


def _schema_for(output: OutputType) -> dict[str, Any]:
    """Return the schema of an output with what the API takes; the SDK knows, and tells the model the rest in words."""
    schema: dict[str, Any] = sdk("anthropic", "anthropic").transform_schema(output.schema)
    return schema
