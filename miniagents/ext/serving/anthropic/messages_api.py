"""`/v1/messages`: an agent as a model, for clients of Anthropic's API."""

import inspect
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.messages import ReplyMessage, ToolCall
from miniagents.ext.llms.providers.mapping import json_arguments
from miniagents.ext.serving.anthropic.answer_blocks import OpenBlock, thinking_blocks
from miniagents.ext.serving.anthropic.client import anthropic_body
from miniagents.ext.serving.anthropic.messages_input import Asked, parse_count, parse_messages
from miniagents.ext.serving.http.problems import Problem, json_response
from miniagents.ext.serving.http.reply_reading import Reader
from miniagents.ext.serving.http.request_body import read_body
from miniagents.ext.serving.http.streaming import EventStream
from miniagents.ext.serving.reply_pieces import Calls, Said, Text, Thought, finish_reason, refusal_of, spoken
from miniagents.ext.serving.request_options import options_for
from miniagents.ext.serving.runs import Run
from miniagents.ext.serving.served_agent import Entry
from miniagents.ext.serving.service import Service
from miniagents.ext.serving.wants import check_wanted
from miniagents.ext.wire.anthropic import (
    AnthropicMessage,
    AnthropicUsage,
    DeltaUsage,
    MessageStream,
    RedactedThinkingBlock,
    RefusalDetails,
    Stop,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
)
from miniagents.ext.wire.sse import sse
from miniagents.messages import Message, Messages

_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_OWN_REASONS = frozenset({"end_turn", "max_tokens", "stop_sequence", "refusal", "model_context_window_exceeded"})
"""The stop reasons of Anthropic's models, for answers without open tool calls."""


class TokenCount(msgspec.Struct, frozen=True):
    """An estimate of the tokens of a conversation."""

    input_tokens: int


class AnthropicApi:
    """The endpoints of messages.

    Args:
        service: The service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def create(self, request: Request, key: str) -> Response:
        """Answer `POST /v1/messages`."""
        service = self._service
        parsed = await service.parser.parsed(parse_messages, await read_body(request, service.limits))
        asked: Asked = parsed.wanted
        entry = service.entry(asked.model)
        check_wanted(asked.specials, entry.wants, entry.name)
        options = options_for(entry, parsed)
        for name in asked.demands:
            if name not in entry.argument_names:
                text = f"The agent {entry.name!r} takes no {name}, and would ignore it ({name})"
                raise Problem(400, text, param=name, code="unsupported_parameter")
        run = await service.begin(request, entry, key, parsed.messages, options, asked.conversation)
        if not asked.stream:
            await service.whole(request, run)
            return json_response(await self._whole(run))
        reader = run.reading.reader()
        return EventStream(
            self._events(run, reader, asked.tokens),
            reader,
            problem=lambda error: service.problem(error, run),
            as_body=lambda problem: anthropic_body(request, problem),
            as_event=lambda problem: sse(anthropic_body(request, problem), "error"),
            limits=service.limits,
            gone=run.leave,
        )

    async def count(self, request: Request, key: str) -> Response:
        """Answer `POST /v1/messages/count_tokens`."""
        service = self._service
        parsed = await service.parser.parsed(parse_count, await read_body(request, service.limits))
        asked: Asked = parsed.wanted
        entry = service.entry(asked.model)
        check_wanted(asked.specials, entry.wants, entry.name)
        return json_response(TokenCount(await _counted(entry, parsed.messages, asked.tokens)))

    async def _whole(self, run: Run) -> AnthropicMessage:
        content: list[TextBlock | ToolUseBlock | ThinkingBlock | RedactedThinkingBlock] = []
        last: Message | None = None
        calls: tuple[ToolCall, ...] = ()
        async for piece in spoken(run.replies, has_thoughts=True):  # all pieces have arrived
            if isinstance(piece, Thought) and piece.whole is not None:
                content += thinking_blocks(piece.whole)
            elif isinstance(piece, Said):
                last = piece.message
                text = str(last) if piece.index is not None else refusal_of(last)
                if text:
                    content.append(TextBlock(text))
            elif isinstance(piece, Calls):
                calls = piece.calls
        content += [ToolUseBlock(call.id, call.name, json_arguments(call.arguments)) for call in calls]
        stop = msgspec.structs.asdict(_stop(last, calls))
        usage = AnthropicUsage.of(*_used(run))
        return AnthropicMessage(id=f"msg_{run.id}", model=run.entry.name, content=tuple(content), usage=usage, **stop)

    async def _events(self, run: Run, reader: Reader, tokens: int) -> AsyncGenerator[bytes, None]:
        stream = MessageStream(f"msg_{run.id}", run.entry.name)
        blocks = OpenBlock(stream)
        has_begun = False
        last: Message | None = None
        async for piece in spoken(run.replies, reader, has_thoughts=True):
            if not has_begun:
                has_begun = True
                yield stream.begin(AnthropicUsage(tokens, 0))  # an estimate; the usage comes at the end
            if isinstance(piece, Text):
                yield blocks.text(piece.text)
            elif isinstance(piece, Thought):
                yield blocks.thought(piece)
            elif isinstance(piece, Said):
                last = piece.message
                refusal = refusal_of(last) if piece.index is None else None
                yield (blocks.text(refusal) if refusal else b"") + blocks.end()
            else:
                for call in piece.calls:
                    yield blocks.call(call)
                yield stream.end(_stop(last, piece.calls), DeltaUsage.of(*_used(run)))


async def _counted(entry: Entry, messages: tuple[Message, ...], estimated: int) -> int:
    """Return the tokens of a conversation: the count of the agent's own counter, or else the estimate."""
    if entry.count_tokens is None:
        return estimated
    counted: Any = entry.count_tokens(Messages(messages))
    if inspect.isawaitable(counted):
        counted = await counted
    if type(counted) is not int or counted < 0:
        raise InvalidOptionError(f"{entry.name}: count_tokens= must return an int, 0 or more, not {counted!r}")
    return counted


def _stop(last: Message | None, calls: tuple[ToolCall, ...]) -> Stop:
    reason = _REASONS[finish_reason(last, calls)]
    if not isinstance(last, ReplyMessage):
        return Stop(reason)
    if not calls and last.stop_reason in _OWN_REASONS:
        reason = last.stop_reason
    sequence = last.metadata.get("stop_sequence") if reason == "stop_sequence" else None
    return Stop(reason, sequence, RefusalDetails(explanation=last.refusal) if reason == "refusal" else None)


def _used(run: Run) -> tuple[int, int, int]:
    meter = run.meter
    return meter.input_tokens, meter.output_tokens, meter.cached_tokens
