"""`AnthropicProvider`: Anthropic's Messages API, through the official SDK."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.ext.llms.providers.anthropic_mapping import to_anthropic, tools_for_anthropic
from miniagents.ext.llms.providers.clients import as_parameters, call_options, sdk, without_retries
from miniagents.ext.llms.providers.endpoint import Endpoint
from miniagents.ext.llms.providers.messages_reader import MessagesReader
from miniagents.ext.llms.providers.response_stream import read_response
from miniagents.ext.llms.schemas import OutputType
from miniagents.messages import SystemMessage


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

    def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str | None, None]:
        """Send a request and fill the answer as it arrives; see `Provider`."""
        return read_response(self._endpoint, request, answer, lambda: self._create(request), MessagesReader(answer))

    def _create(self, request: ModelRequest) -> Any:
        options = call_options(request)
        first = {"first_user_message": options.pop("fake_first_user_message", None)}
        conversation, output = request.messages, request.output
        if output is not None and output.unfit:
            conversation = (*conversation, _told(output))
        elif output is not None:
            options["output_config"] = {
                **options.get("output_config", {}),
                "format": {"type": "json_schema", "schema": _schema_for(output)},
            }
        system, messages = to_anthropic(conversation, **{k: v for k, v in first.items() if v is not None})
        if system:
            options["system"] = system
        if request.tools:
            options["tools"] = [*tools_for_anthropic(request.tools), *options.get("tools", ())]
        messages_api = self._client.messages
        return messages_api.with_streaming_response.create(
            model=request.model, messages=messages, stream=request.stream, **as_parameters(messages_api.create, options)
        )


def _told(output: OutputType) -> SystemMessage:
    """Return a prompt with the schema of an output, for types that the API cannot hold a model to."""
    schema = msgspec.json.encode(output.schema).decode()
    return SystemMessage(f"Answer with nothing but JSON that fits this JSON schema, without a code block:\n{schema}")


def _schema_for(output: OutputType) -> dict[str, Any]:
    """Return the schema of an output with what the API takes; the SDK knows, and tells the model the rest in words."""
    schema: dict[str, Any] = sdk("anthropic", "anthropic").transform_schema(output.schema)
    return schema
