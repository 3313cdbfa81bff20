"""`OpenAIProvider`: OpenAI's chat completions and Responses API, and compatible servers, through the official SDK."""

import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.blocks import origin_of, provider_at
from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.ext.llms.providers import chat_parts
from miniagents.ext.llms.providers.chat_reader import ChatReader
from miniagents.ext.llms.providers.checking import Check, check_ending
from miniagents.ext.llms.providers.clients import as_parameters, call_options, without_retries
from miniagents.ext.llms.providers.endpoint import Endpoint
from miniagents.ext.llms.providers.openai_mapping import (
    SendReasoning,
    output_for_chat,
    output_for_responses,
    to_openai,
    to_responses,
    tools_for_chat,
    tools_for_responses,
)
from miniagents.ext.llms.providers.openai_parts import API
from miniagents.ext.llms.providers.response_stream import read_response
from miniagents.ext.llms.providers.responses_reader import ResponsesReader
from miniagents.ext.llms.schemas import OutputType

_COUNTED = frozenset(
    {
        *("input", "tools", "text", "reasoning", "tool_choice", "parallel_tool_calls", "previous_response_id"),
        *("conversation", "truncation"),
    }
)
"""The parameters of a response that its input tokens depend on."""

_ENCRYPTED = "reasoning.encrypted_content"
_NO_REASONING = re.compile(r"(gpt-3|gpt-4|chatgpt-4|gpt-5(\.\d+)?-chat)")
"""OpenAI's models that do not reason: they refuse a request that asks for encrypted reasoning."""


class OpenAIProvider:
    """OpenAI's API.

    Args:
        client: An `openai.AsyncOpenAI`.
        api: "chat" or "responses".
        name: The name of the provider in logs and errors.
        key_source: The name of the argument or of the environment variable that its key came from.
        is_cloud: Whether the client gets credentials of a cloud with its first request.
    """

    def __init__(
        self,
        client: Any,
        api: str = "chat",
        name: str = "openai",
        key_source: str = "async_client=",
        *,
        is_cloud: bool = False,
    ) -> None:
        if api not in ("chat", "responses"):
            raise InvalidOptionError(f"api= must be 'chat' or 'responses', not {api!r}")
        self._client = without_retries(client)
        self._api = api
        self._endpoint = Endpoint(name, "openai", key_source, is_cloud)
        self.name = name
        self.address = str(client.base_url)
        self.key = f"{name} {api} {client.base_url}"
        self._blocks_api = API if api == "responses" else chat_parts.API
        self._family = provider_at(self.address, self._blocks_api)

    def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str | None, None]:
        """Send a request and fill the answer as it arrives; see `Provider`."""
        return self._send(request, answer, check_ending)

    def _send(self, request: ModelRequest, answer: Answer, check: Check) -> AsyncGenerator[str | None, None]:
        answer.origin = origin_of(self._blocks_api, self._family, request.model)
        if self._api == "chat":
            return read_response(
                self._endpoint, request, answer, lambda: self._chat(request), ChatReader(answer), check
            )
        return read_response(
            self._endpoint, request, answer, lambda: self._respond(request), ResponsesReader(answer), check
        )

    def _chat(self, request: ModelRequest) -> Any:
        options = api_options(request)
        send_reasoning: SendReasoning = options.pop("send_reasoning", "calls")
        effort = options.pop("effort", None)
        if effort is not None:
            options.setdefault("reasoning_effort", effort)
        if request.tools:
            options["tools"] = [*tools_for_chat(request.tools), *options.get("tools", ())]
        if request.output is not None:
            options["response_format"] = self._response_format(request.output)
        if request.stream:
            options["stream_options"] = {"include_usage": True, **options.get("stream_options", {})}
        completions = self._client.chat.completions
        origin = origin_of(self._blocks_api, self._family, request.model)
        return completions.with_streaming_response.create(
            model=request.model,
            messages=to_openai(request.messages, origin=origin, send_reasoning=send_reasoning),
            stream=request.stream,
            **as_parameters(completions.create, options),
        )

    def _response_format(self, output: OutputType) -> dict[str, Any]:
        return output_for_chat(output)

    async def count_tokens(self, request: ModelRequest) -> int | None:
        """Return the input tokens of a request; None for chat completions, which count none. See `CountsTokens`."""
        if self._api == "chat":
            return None
        options = self._response_options(request)
        counted = {name: value for name, value in options.items() if name in _COUNTED}
        result = await self._client.responses.input_tokens.count(model=request.model, **counted)
        return int(result.input_tokens)

    def compacting(self, options: Mapping[str, Any], tokens: int, instructions: str | None) -> dict[str, Any]:
        """Return options with those of the server-side compaction of the Responses API; see `Compacts`."""
        if self._api == "chat":
            raise InvalidOptionError('chat completions do not compact: take api="responses", or another Compact(by=)')
        if instructions is not None:
            raise InvalidOptionError("the Responses API takes no instructions for its compaction")
        entry = {"type": "compaction", "compact_threshold": tokens}
        return {**options, "context_management": [*options.get("context_management", ()), entry]}

    def _respond(self, request: ModelRequest) -> Any:
        responses = self._client.responses
        options = self._response_options(request)
        return responses.with_streaming_response.create(
            model=request.model, stream=request.stream, **as_parameters(responses.create, options)
        )

    def _response_options(self, request: ModelRequest) -> dict[str, Any]:
        """Return the parameters of a request to the Responses API, its conversation included."""
        options = {"store": False, **api_options(request)}
        if request.tools:
            options["tools"] = [*tools_for_responses(request.tools), *options.get("tools", ())]
        if request.output is not None:
            options["text"] = {**options.get("text", {}), **output_for_responses(request.output)}
        if "max_tokens" in options:
            options["max_output_tokens"] = options.pop("max_tokens")
        options.pop("send_reasoning", None)
        effort = options.pop("effort", None)
        if effort is not None:
            options["reasoning"] = {"effort": effort, **(options.get("reasoning") or {})}
        is_stored = options["store"] is not False
        if not is_stored and not _NO_REASONING.match(request.model):
            asked = options.get("include") or ()
            options["include"] = [*asked, *(name for name in (_ENCRYPTED,) if name not in asked)]
        origin = origin_of(self._blocks_api, self._family, request.model)
        options["input"] = to_responses(request.messages, origin=origin, is_stored=is_stored)
        return options


def api_options(request: ModelRequest) -> dict[str, Any]:
    """Return the parameters of a call of either API."""
    options = call_options(request)
    if options.get("n", 1) != 1:
        raise InvalidOptionError(f"n= must be 1, not {options['n']!r}: call the agent several times instead")
    return options
