"""`AnthropicProvider`: Anthropic's Messages API, through the official SDK."""

from collections.abc import AsyncGenerator
from typing import Any

from miniagents.ext.llms.blocks import Origin, provider_at
from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.ext.llms.providers.anthropic_effort import set_effort
from miniagents.ext.llms.providers.anthropic_mapping import FIRST_USER_MESSAGE, to_anthropic, tools_for_anthropic
from miniagents.ext.llms.providers.anthropic_parts import API
from miniagents.ext.llms.providers.clients import as_parameters, call_options, without_retries
from miniagents.ext.llms.providers.endpoint import Endpoint
from miniagents.ext.llms.providers.messages_reader import MessagesReader
from miniagents.ext.llms.providers.response_stream import read_response


class AnthropicProvider:
    """Anthropic's API.

    Args:
        client: An `anthropic.AsyncAnthropic`.
        key_source: The name of the argument or of the environment variable that its key came from.
    """

    name = "anthropic"

    def __init__(self, client: Any, key_source: str = "async_client=") -> None:
        self._client = without_retries(client)
        self._endpoint = Endpoint(self.name, "anthropic", key_source)
        self.address = str(client.base_url)
        self.key = f"{self.name} {client.base_url}"
        self._family = provider_at(self.address, API)

    def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str | None, None]:
        """Send a request and fill the answer as it arrives; see `Provider`."""
        answer.origin = Origin(API, self._family, request.model)
        return read_response(self._endpoint, request, answer, lambda: self._create(request), MessagesReader(answer))

    def _create(self, request: ModelRequest) -> Any:
        options = call_options(request)
        set_effort(options, request.model)
        first = options.pop("fake_first_user_message", None) or FIRST_USER_MESSAGE
        origin = Origin(API, self._family, request.model)
        system, messages = to_anthropic(request.messages, first_user_message=first, origin=origin)
        if system:
            options["system"] = system
        if request.tools:
            options["tools"] = [*tools_for_anthropic(request.tools), *options.get("tools", ())]
        if request.output is not None:
            options["output_config"] = {
                **options.get("output_config", {}),
                "format": {"type": "json_schema", "schema": request.output.schema},
            }
        messages_api = self._client.messages
        return messages_api.with_streaming_response.create(
            model=request.model, messages=messages, stream=request.stream, **as_parameters(messages_api.create, options)
        )
