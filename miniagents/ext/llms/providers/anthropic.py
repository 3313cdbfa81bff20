"""Anthropic's API, through the official SDK."""

import json
from collections.abc import AsyncGenerator
from typing import Any

from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.model import Answer, ModelRequest
from miniagents.ext.llms.providers.anthropic_mapping import to_anthropic, tools_for_anthropic
from miniagents.ext.llms.providers.clients import as_parameters, call_options, without_retries
from miniagents.ext.llms.providers.failures import malformed
from miniagents.ext.llms.providers.relay import relay


class AnthropicProvider:
    """Anthropic's API.

    Args:
        client: An `anthropic.AsyncAnthropic`.
    """

    name = "anthropic"

    def __init__(self, client: Any) -> None:
        self._client = without_retries(client)
        self.address = str(client.base_url)
        self.key = f"{self.name} {client.base_url}"

    def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str, None]:
        """Ask, and fill the answer as it comes; see `Provider`."""
        read = _read if request.stream else _read_whole
        return relay(self.name, "anthropic", request, answer, lambda: self._create(request), read)

    async def _create(self, request: ModelRequest) -> Any:
        options = call_options(request)
        first = {"first_user_message": options.pop("fake_first_user_message", None)}
        system, messages = to_anthropic(request.messages, **{k: v for k, v in first.items() if v is not None})
        if system:
            options["system"] = system
        if request.tools:
            options["tools"] = [*tools_for_anthropic(request.tools), *options.get("tools", ())]
        if request.output is not None:
            options["output_config"] = {
                **options.get("output_config", {}),
                "format": {"type": "json_schema", "schema": request.output.schema},
            }
        create = self._client.messages.create
        return await create(
            model=request.model, messages=messages, stream=request.stream, **as_parameters(create, options)
        )


async def _read(name: str, stream: Any, answer: Answer) -> AsyncGenerator[str, None]:
    thinking: dict[int, dict[str, Any]] = {}
    async for event in stream:
        kind = event.type
        if kind == "content_block_delta":
            delta = event.delta
            if delta.type == "text_delta":
                yield delta.text
                continue
            if delta.type == "input_json_delta":
                answer.call_piece(event.index, None, None, delta.partial_json)
            elif delta.type == "thinking_delta":
                thinking[event.index]["thinking"] += delta.thinking
                answer.silent_tokens += 1
            elif delta.type == "signature_delta":
                thinking[event.index]["signature"] = delta.signature
        elif kind == "content_block_start":
            block = event.content_block
            if block.type == "tool_use":
                answer.call_piece(event.index, block.id, block.name, None)
            elif block.type in ("thinking", "redacted_thinking"):
                thinking[event.index] = block.model_dump(exclude_none=True)
            elif block.type == "text" and block.text:
                yield block.text
        elif kind == "message_start":
            answer.model = event.message.model
            answer.usage = _usage(event.message.usage, None)
        elif kind == "message_delta":
            answer.stop_reason = event.delta.stop_reason or answer.stop_reason
            answer.usage = _usage(event.usage, answer.usage)
        yield ""
    _finish(answer, "".join(answer.tokens), [thinking[index] for index in sorted(thinking)])


async def _read_whole(name: str, message: Any, answer: Answer) -> AsyncGenerator[str, None]:
    if isinstance(message, str) or getattr(message, "content", None) is None:
        raise malformed(name, "the answer has no content")
    answer.model = message.model
    answer.usage = _usage(message.usage, None)
    text, thinking = [], []
    for index, block in enumerate(message.content):
        if block.type == "text":
            text.append(block.text)
        elif block.type == "tool_use":
            answer.call_piece(index, block.id, block.name, json.dumps(block.input))
        elif block.type in ("thinking", "redacted_thinking"):
            thinking.append(block.model_dump(exclude_none=True))
    answer.stop_reason = message.stop_reason
    _finish(answer, "".join(text), thinking)
    yield "".join(text)


def _finish(answer: Answer, text: str, thinking: list[dict[str, Any]]) -> None:
    if answer.stop_reason == "refusal":
        answer.refusal = text
    if thinking and answer.calls:
        answer.extra["thinking_blocks"] = thinking  # the API wants it back with the results


def _usage(usage: Any, before: Usage | None) -> Usage:
    """Anthropic counts what comes from its cache apart from the input; here the input is all of it."""
    cached = usage.cache_read_input_tokens or 0
    read = (usage.input_tokens or 0) + (usage.cache_creation_input_tokens or 0) + cached
    if before is not None:
        read, cached = max(read, before.input_tokens), max(cached, before.cached_tokens)
    return Usage(input_tokens=read, output_tokens=usage.output_tokens or 0, cached_tokens=cached)
