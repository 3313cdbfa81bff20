"""`/v1/messages`: an agent as a model, for whoever speaks to Anthropic's."""

from collections.abc import AsyncGenerator

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from miniagents.ext.llms.messages import ToolCall
from miniagents.ext.llms.providers.mapping import json_arguments
from miniagents.ext.serving.anthropic_input import MessagesRequest, conversation_of
from miniagents.ext.serving.anthropic_threads import check_thread, details_of
from miniagents.ext.serving.bodies import decode, read_body
from miniagents.ext.serving.chat import given_in, options_for
from miniagents.ext.serving.limits import Limits
from miniagents.ext.serving.parsing import Parsed
from miniagents.ext.serving.plain import check_count
from miniagents.ext.serving.problems import Problem, json_response
from miniagents.ext.serving.reading import Reader
from miniagents.ext.serving.runs import Run
from miniagents.ext.serving.service import Service
from miniagents.ext.serving.speech import Calls, Said, Text, finish_reason, refusal_of, spoken
from miniagents.ext.serving.streaming import EventStream
from miniagents.ext.wire.anthropic import (
    AnthropicError,
    AnthropicMessage,
    AnthropicUsage,
    MessageStream,
    TextBlock,
    ToolUseBlock,
    anthropic_error,
)
from miniagents.ext.wire.sse import sse
from miniagents.messages import Message

_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def anthropic_body(problem: Problem) -> AnthropicError:
    """A problem, as Anthropic's clients read it."""
    return anthropic_error(problem.status, problem.message, details=details_of(problem))


def parse_messages(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """A request for a message; see `Parse`."""
    wanted = decode(body, MessagesRequest, status=400)
    check_count(len(wanted.messages), limits)
    check_thread(wanted.thread)
    messages = conversation_of(wanted)
    return Parsed(msgspec.structs.replace(wanted, messages=[]), messages, given_in(body, names))


class AnthropicApi:
    """The endpoint of messages.

    Args:
        service: What all endpoints share.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def create(self, request: Request, key: str) -> Response:
        """`POST /v1/messages`."""
        service = self._service
        parsed = await service.parser.parsed(parse_messages, await read_body(request, service.limits))
        wanted: MessagesRequest = parsed.wanted
        entry = service.entry(wanted.model)
        messages, options = parsed.messages, options_for(entry, parsed)
        run = await service.begin(request, entry, key, messages, options, wanted.conversation)
        if not wanted.stream:
            await service.whole(request, run)
            return json_response(await self._whole(run))
        reader = run.reading.reader()
        return EventStream(
            self._events(run, reader),
            reader,
            problem=lambda error: service.problem(error, run),
            as_body=anthropic_body,
            as_event=lambda problem: sse(anthropic_body(problem), "error"),
            limits=service.limits,
            gone=lambda: run.cancel("the client went away"),
        )

    async def _whole(self, run: Run) -> AnthropicMessage:
        content: list[TextBlock | ToolUseBlock] = []
        last: Message | None = None
        calls: tuple[ToolCall, ...] = ()
        async for piece in spoken(run.replies):  # all of it is there by now
            if isinstance(piece, Said):
                last = piece.message
                text = str(last) if piece.index is not None else refusal_of(last)
                if text:
                    content.append(TextBlock(text))
            elif isinstance(piece, Calls):
                calls = piece.calls
        content += [ToolUseBlock(one.id, one.name, json_arguments(one.arguments)) for one in calls]
        return AnthropicMessage(f"msg_{run.id}", run.entry.name, tuple(content), _reason(last, calls), _usage(run))

    async def _events(self, run: Run, reader: Reader) -> AsyncGenerator[bytes, None]:
        stream = MessageStream(f"msg_{run.id}", run.entry.name)
        has_begun, at, is_open = False, 0, False
        last: Message | None = None
        try:
            async for piece in spoken(run.replies, reader):
                if not has_begun:
                    has_begun = True
                    yield stream.begin(AnthropicUsage(0, 0))
                if isinstance(piece, Text):
                    if not is_open:
                        is_open = True
                        yield stream.begin_text(at)
                    yield stream.text(at, piece.text)
                elif isinstance(piece, Said):
                    last = piece.message
                    refusal = refusal_of(last)
                    if refusal and not is_open:
                        is_open = True
                        yield stream.begin_text(at) + stream.text(at, refusal)
                    if is_open:
                        is_open = False
                        yield stream.end_block(at)
                        at += 1
                else:
                    for number, call in enumerate(piece.calls, at):
                        yield stream.begin_tool_use(number, call.id, call.name)
                        yield stream.input(number, call.arguments) + stream.end_block(number)
                    await run.replies  # the interaction is over, and what it used is known
                    yield stream.end(_reason(last, piece.calls), _usage(run))
        finally:
            run.cancel("the client went away")  # of one that has ended, this is nothing


def _reason(last: Message | None, calls: tuple[ToolCall, ...]) -> str:
    return _REASONS[finish_reason(last, calls)]


def _usage(run: Run) -> AnthropicUsage:
    meter = run.meter
    return AnthropicUsage.of(meter.input_tokens, meter.output_tokens, meter.cached_tokens)
