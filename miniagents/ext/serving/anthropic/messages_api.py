"""`/v1/messages`: an agent as a model, for clients of Anthropic's API."""

import inspect
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.messages import ReplyMessage, ToolCall
from miniagents.ext.llms.providers.mapping import json_arguments
from miniagents.ext.serving.anthropic.client import anthropic_body
from miniagents.ext.serving.anthropic.messages_input import Asked, parse_count, parse_messages
from miniagents.ext.serving.http.problems import Problem, json_response
from miniagents.ext.serving.http.reply_reading import Reader
from miniagents.ext.serving.http.request_body import read_body
from miniagents.ext.serving.http.streaming import EventStream
from miniagents.ext.serving.reply_pieces import Calls, Said, Text, finish_reason, refusal_of, spoken
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
        asking: list[ReplyMessage] = []
        calls: tuple[ToolCall, ...] = ()
        async for piece in spoken(run.replies):  # all pieces have arrived
            if isinstance(piece, Said):
                last = _noted(piece.message, asking)
                text = str(last) if piece.index is not None else refusal_of(last)
                if text:
                    content.append(TextBlock(text))
            elif isinstance(piece, Calls):
                calls = piece.calls
        content += [ToolUseBlock(call.id, call.name, json_arguments(call.arguments)) for call in calls]
        stop = msgspec.structs.asdict(_stop(last, calls))
        usage = AnthropicUsage.of(*_used(run))
        return AnthropicMessage(
            id=f"msg_{run.id}", model=run.entry.name, content=(*_thoughts(asking, calls), *content), usage=usage, **stop
        )

    async def _events(self, run: Run, reader: Reader, tokens: int) -> AsyncGenerator[bytes, None]:
        stream = MessageStream(f"msg_{run.id}", run.entry.name)
        has_begun, at, is_open = False, 0, False
        last: Message | None = None
        asking: list[ReplyMessage] = []
        async for piece in spoken(run.replies, reader):
            if not has_begun:
                has_begun = True
                yield stream.begin(AnthropicUsage(tokens, 0))  # an estimate; the usage comes at the end
            if isinstance(piece, Text):
                if not is_open:
                    is_open = True
                    yield stream.begin_text(at)
                yield stream.text(at, piece.text)
            elif isinstance(piece, Said):
                last = _noted(piece.message, asking)
                refusal = refusal_of(last)
                if refusal and not is_open:
                    is_open = True
                    yield stream.begin_text(at) + stream.text(at, refusal)
                if is_open:
                    is_open = False
                    yield stream.end_block(at)
                    at += 1
            else:
                for thought in _thoughts(asking, piece.calls):
                    yield stream.thinking(at, thought)
                    at += 1
                for number, call in enumerate(piece.calls, at):
                    yield stream.begin_tool_use(number, call.id, call.name)
                    yield stream.input(number, call.arguments) + stream.end_block(number)
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


def _noted(message: Message, asking: list[ReplyMessage]) -> Message:
    """Return the same message, and add it to `asking` if it has tool calls."""
    if isinstance(message, ReplyMessage) and message.tool_calls:
        asking.append(message)
    return message


def _thoughts(asking: list[ReplyMessage], calls: tuple[ToolCall, ...]) -> list[ThinkingBlock | RedactedThinkingBlock]:
    """Return the thoughts of models before the tool calls that are left to the client. The models want them back
    with the results."""
    open_ids = {call.id for call in calls}
    replies = [reply for reply in asking if not open_ids.isdisjoint(call.id for call in reply.tool_calls)]
    thoughts: list[Mapping[str, Any]] = [
        thought for reply in replies for thought in reply.metadata.get("thinking_blocks", ())
    ]
    blocks: list[ThinkingBlock | RedactedThinkingBlock] = []
    for thought in thoughts:
        if thought.get("type") == "thinking":
            blocks.append(ThinkingBlock(thought.get("thinking", ""), thought.get("signature", "")))
        else:
            blocks.append(RedactedThinkingBlock(thought.get("data", "")))
    return blocks


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
