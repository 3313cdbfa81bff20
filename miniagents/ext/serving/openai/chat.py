"""`/v1/models` and `/v1/chat/completions`: an agent as a model, for clients of OpenAI's API."""

import time
from collections.abc import AsyncGenerator, Iterable
from functools import partial
from typing import Literal

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from miniagents.ext.llms.messages import ToolCall
from miniagents.ext.serving.http.json_messages import check_count
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import Problem, json_response
from miniagents.ext.serving.http.reply_reading import Reader
from miniagents.ext.serving.http.request_body import decode, read_body
from miniagents.ext.serving.http.streaming import End, EventStream
from miniagents.ext.serving.openai.chat_input import AskedChat, ChatRequest, chat_messages
from miniagents.ext.serving.reply_pieces import Calls, Said, Text, finish_reason, refusal_of, spoken
from miniagents.ext.serving.request_options import fields_in, options_for
from miniagents.ext.serving.runs import Run
from miniagents.ext.serving.service import Service
from miniagents.ext.serving.wants import check_wanted
from miniagents.ext.wire.openai_chat import (
    AssistantReply,
    ChatCompletion,
    ChatStream,
    ChatToolCall,
    ChatUsage,
    Choice,
    Function,
)
from miniagents.ext.wire.sse import DONE, sse
from miniagents.messages import Message

DELIMITER = "\n\n"
"""The text between two messages of an agent, in an answer that is one text."""


class Model(msgspec.Struct, frozen=True):
    """An agent, as a model."""

    id: str
    created: int
    owned_by: str = "miniagents"
    object: Literal["model"] = "model"


class ModelList(msgspec.Struct, frozen=True):
    """All served agents."""

    data: tuple[Model, ...]
    object: Literal["list"] = "list"


class ChatApi:
    """The endpoints of chat completions.

    Args:
        service: The service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._created = int(time.time())

    async def models(self, request: Request, key: str) -> Response:
        """Answer `GET /v1/models`."""
        return json_response(ModelList(tuple(Model(name, self._created) for name in self._service.entries)))

    async def model(self, request: Request, key: str) -> Response:
        """Answer `GET /v1/models/{model}`."""
        entry = self._service.entry(request.path_params["model"])
        return json_response(Model(entry.name, self._created))

    async def complete(self, request: Request, key: str) -> Response:
        """Answer `POST /v1/chat/completions`."""
        service = self._service
        parsed = await service.parser.parsed(parse_chat, await read_body(request, service.limits))
        asked: AskedChat = parsed.wanted
        wanted = asked.request
        entry = service.entry(wanted.model)
        check_wanted(asked.specials, entry.wants, entry.name)
        messages, options = parsed.messages, options_for(entry, parsed)
        run = await service.begin(request, entry, key, messages, options, wanted.conversation)
        created = int(time.time())
        if not wanted.stream:
            return json_response(await self._whole(request, run, created))
        has_usage = wanted.stream_options is not None and wanted.stream_options.include_usage
        reader = run.reading.reader()
        return EventStream(
            self._events(run, reader, created, has_usage=has_usage),
            reader,
            problem=partial(service.problem, run=run),
            as_event=_as_event,
            limits=service.limits,
            gone=run.leave,
        )

    async def _whole(self, request: Request, run: Run, created: int) -> ChatCompletion:
        await self._service.whole(request, run)
        texts: list[str] = []
        last: Message | None = None
        calls: tuple[ToolCall, ...] = ()
        refusal: str | None = None
        async for piece in spoken(run.replies):  # all pieces have arrived
            if isinstance(piece, Said):
                last, refusal = piece.message, refusal_of(piece.message) or refusal
                if piece.index is not None:
                    texts.append(str(piece.message))
            elif isinstance(piece, Calls):
                calls = piece.calls
        message = AssistantReply(
            DELIMITER.join(texts) or None,
            refusal,
            tool_calls=tuple(ChatToolCall(call.id, Function(call.name, call.arguments)) for call in calls) or UNSET,
        )
        choice = Choice(message, finish_reason(last, calls))
        return ChatCompletion(f"chatcmpl-{run.id}", created, run.entry.name, (choice,), _usage(run))

    async def _events(self, run: Run, reader: Reader, created: int, *, has_usage: bool) -> AsyncGenerator[bytes, None]:
        stream = ChatStream(f"chatcmpl-{run.id}", created, run.entry.name)
        has_begun, index = False, 0
        last: Message | None = None
        try:
            async for piece in spoken(run.replies, reader):
                event = b"" if has_begun else stream.begin()
                has_begun = True
                if isinstance(piece, Text):
                    if piece.index != index:
                        index = piece.index
                        event += stream.text(DELIMITER)
                    event += stream.text(piece.text)
                elif isinstance(piece, Said):
                    last = piece.message
                    refusal = refusal_of(last)
                    if refusal:
                        event += stream.refusal(refusal)
                else:
                    event += _calls(stream, piece.calls) + stream.finish(finish_reason(last, piece.calls))
                    await run.replies  # until the interaction has ended, and its usage is known
                    yield End(event + (stream.usage(_usage(run)) if has_usage else b"") + DONE)
                    return
                if event:
                    yield event
        finally:
            run.leave()  # nothing happens if it has ended


def _calls(stream: ChatStream, calls: Iterable[ToolCall]) -> bytes:
    return b"".join(
        stream.call(number, call.id, call.name) + stream.arguments(number, call.arguments)
        for number, call in enumerate(calls)
    )


def parse_chat(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse a request for a chat completion; see `Parse`."""
    wanted = decode(body, ChatRequest, status=400)
    check_count(len(wanted.messages), limits)
    messages, specials = chat_messages(wanted.messages)
    asked = AskedChat(msgspec.structs.replace(wanted, messages=[]), specials)
    return Parsed(asked, messages, fields_in(body, names))


def _as_event(problem: Problem) -> bytes:
    return sse(problem.body)


def _usage(run: Run) -> ChatUsage:
    meter = run.meter
    return ChatUsage.of(meter.input_tokens, meter.output_tokens, meter.cached_tokens)
