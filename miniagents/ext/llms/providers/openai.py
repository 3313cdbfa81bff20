"""OpenAI's API, and whatever is compatible with it: chat completions and responses, through the official SDK."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.model import Answer, ModelRequest
from miniagents.ext.llms.providers.clients import as_parameters, call_options, without_retries
from miniagents.ext.llms.providers.failures import malformed, status_failure
from miniagents.ext.llms.providers.openai_mapping import (
    output_for_chat,
    output_for_responses,
    to_openai,
    to_responses,
    tools_for_chat,
    tools_for_responses,
)
from miniagents.ext.llms.providers.relay import Failures, Reader, relay
from miniagents.promising import Flow


class OpenAIProvider:
    """OpenAI's API.

    Args:
        client: An `openai.AsyncOpenAI`.
        api: "chat" or "responses".
        name: What it is called in logs and errors.
    """

    def __init__(self, client: Any, api: str = "chat", name: str = "openai") -> None:
        if api not in ("chat", "responses"):
            raise InvalidOptionError(f"api= must be 'chat' or 'responses', not {api!r}")
        self._client = without_retries(client)
        self._api = api
        self.name = name
        self.address = str(client.base_url)
        self.key = f"{name} {api} {client.base_url}"

    def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str, None]:
        """Ask, and fill the answer as it comes; see `Provider`."""
        send: Any
        read: Reader
        if self._api == "chat":
            send, read = self._chat, _read_chat if request.stream else _read_whole_chat
        else:
            send, read = self._respond, _read_responses if request.stream else _read_whole_response
        return relay(self.name, "openai", request, answer, lambda: send(request), read)

    async def _chat(self, request: ModelRequest) -> Any:
        options = _api_options(request)
        if request.tools:
            options["tools"] = [*tools_for_chat(request.tools), *options.get("tools", ())]
        if request.output is not None:
            options["response_format"] = output_for_chat(request.output)
        if request.stream:
            options["stream_options"] = {"include_usage": True, **options.get("stream_options", {})}
        create = self._client.chat.completions.create
        return await create(
            model=request.model,
            messages=to_openai(request.messages),
            stream=request.stream,
            **as_parameters(create, options),
        )

    async def _respond(self, request: ModelRequest) -> Any:
        options = {"store": False, **_api_options(request)}
        if request.tools:
            options["tools"] = [*tools_for_responses(request.tools), *options.get("tools", ())]
        if request.output is not None:
            options["text"] = {**options.get("text", {}), **output_for_responses(request.output)}
        if "max_tokens" in options:
            options["max_output_tokens"] = options.pop("max_tokens")
        create = self._client.responses.create
        return await create(
            model=request.model,
            input=to_responses(request.messages),
            stream=request.stream,
            **as_parameters(create, options),
        )


class EmbeddingProvider:
    """OpenAI's embeddings: one request, whose answer has no tokens.

    Args:
        client: An `openai.AsyncOpenAI`.

    Attributes:
        embeddings: The vectors, in the order of the messages.
    """

    name = "openai"
    operation = "embeddings"
    was_delivered = False

    def __init__(self, client: Any) -> None:
        self._client = without_retries(client)
        self.address = str(client.base_url)
        self.key = f"{self.name} embeddings {client.base_url}"
        self.embeddings: tuple[tuple[float, ...], ...] = ()

    def push(self, text: str) -> None:
        """There is no text."""

    async def room(self, flow: Flow) -> None:
        """There is always room for nothing."""

    def retract(self) -> None:
        """Nothing was given away yet."""

    async def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str, None]:
        """Ask; see `Provider`."""
        options = _api_options(request)
        options.pop("max_tokens", None)  # it is there for the reservation alone: nothing is written
        with Failures(self.name, "openai"):
            create = self._client.embeddings.create
            found = await create(
                input=[str(message) for message in request.messages],
                model=request.model,
                **as_parameters(create, options),
            )
        if isinstance(found, str) or not getattr(found, "data", None):
            raise malformed(self.name, "the answer has no embeddings")
        self.embeddings = tuple(tuple(entry.embedding) for entry in found.data)
        answer.usage = Usage(input_tokens=found.usage.prompt_tokens if found.usage is not None else 0)
        answer.model = found.model
        answer.stop_reason = "stop"
        yield ""


def _api_options(request: ModelRequest) -> dict[str, Any]:
    """What goes to the call of either API."""
    options = call_options(request)
    if options.get("n", 1) != 1:
        raise InvalidOptionError(f"n= must be 1, not {options['n']!r}: call the agent several times instead")
    return options


# Chat completions


async def _read_chat(name: str, stream: Any, answer: Answer) -> AsyncGenerator[str, None]:
    async for chunk in stream:
        if chunk.usage is not None:
            answer.usage = _chat_usage(chunk.usage)
        if chunk.model:
            answer.model = chunk.model
        if not chunk.choices:
            continue
        choice = chunk.choices[0]
        delta = choice.delta
        if delta is not None:
            for call in delta.tool_calls or ():
                function = call.function
                answer.call_piece(
                    call.index, call.id, function.name if function else None, function.arguments if function else None
                )
            if delta.refusal:
                answer.refusal = (answer.refusal or "") + delta.refusal
            yield delta.content or ""
        if choice.finish_reason:
            answer.stop_reason = choice.finish_reason


async def _read_whole_chat(name: str, completion: Any, answer: Answer) -> AsyncGenerator[str, None]:
    if isinstance(completion, str) or not getattr(completion, "choices", None):
        raise malformed(name, "the answer has no choices")
    if completion.usage is not None:
        answer.usage = _chat_usage(completion.usage)
    answer.model = completion.model
    choice = completion.choices[0]
    message = choice.message
    for index, call in enumerate(message.tool_calls or ()):
        answer.call_piece(index, call.id, call.function.name, call.function.arguments)
    answer.refusal = message.refusal
    with contextlib.suppress(ValueError):
        answer.stop_reason = choice.finish_reason
    yield message.content or ""


def _chat_usage(usage: Any) -> Usage:
    details = usage.prompt_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cached_tokens=(details.cached_tokens or 0) if details is not None else 0,
    )


# Responses


async def _read_responses(name: str, stream: Any, answer: Answer) -> AsyncGenerator[str, None]:
    async for event in stream:
        kind = event.type
        if kind == "response.output_text.delta":
            yield event.delta
            continue
        if kind == "response.refusal.delta":
            answer.refusal = (answer.refusal or "") + event.delta
        elif kind == "response.output_item.added" and event.item.type == "function_call":
            answer.call_piece(event.output_index, event.item.call_id, event.item.name, event.item.arguments)
        elif kind == "response.function_call_arguments.delta":
            answer.call_piece(event.output_index, None, None, event.delta)
        elif kind in ("response.completed", "response.incomplete"):
            _from_response(answer, event.response)
        elif kind == "response.failed":
            error = event.response.error
            body = {"code": error.code, "message": error.message} if error is not None else {}
            raise status_failure(name, None, body, {}, "the response failed", in_stream=True)
        elif kind == "error":
            body = {"code": event.code, "message": event.message}
            raise status_failure(name, None, body, {}, event.message, in_stream=True)
        yield ""


async def _read_whole_response(name: str, response: Any, answer: Answer) -> AsyncGenerator[str, None]:
    if isinstance(response, str) or getattr(response, "output", None) is None:
        raise malformed(name, "the answer has no output")
    text = []
    for index, item in enumerate(response.output):
        if item.type == "function_call":
            answer.call_piece(index, item.call_id, item.name, item.arguments)
        elif item.type == "message":
            for part in item.content:
                if part.type == "output_text":
                    text.append(part.text)
                elif part.type == "refusal":
                    answer.refusal = (answer.refusal or "") + part.refusal
    _from_response(answer, response)
    yield "".join(text)


def _from_response(answer: Answer, response: Any) -> None:
    usage = response.usage
    if usage is not None:
        details = usage.input_tokens_details
        answer.usage = Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=(details.cached_tokens or 0) if details is not None else 0,
        )
    answer.model = response.model
    reason = response.incomplete_details.reason if response.incomplete_details is not None else None
    answer.stop_reason = {"max_output_tokens": "length"}.get(reason, reason) if reason else "stop"
    if answer.calls:
        answer.stop_reason = "tool_calls"
    items = [item.model_dump(exclude_none=True) for item in response.output if item.type == "reasoning"]
    encrypted = [item for item in items if item.get("encrypted_content")]
    if encrypted:
        answer.extra["reasoning_items"] = encrypted  # without it, a model that reasons forgets why it called
