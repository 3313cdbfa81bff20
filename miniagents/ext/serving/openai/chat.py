"""`/v1/models` and `/v1/chat/completions`: an agent as a model, for clients of OpenAI's API."""

import time
from collections.abc import Iterable, Iterator
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
from miniagents.ext.serving.http.request_body import decode, read_body
from miniagents.ext.serving.http.streaming import End, EventStream
from miniagents.ext.serving.openai.chat_input import AskedChat, ChatRequest, chat_messages
from miniagents.ext.serving.reply_pieces import Calls, Piece, Said, Text, Thought, finish_reason, refusal_of, spoken
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
            spoken(run.replies, reader, has_thoughts=True),
            reader,
            write=ChatChunks(run, created, has_usage=has_usage).of,
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
        thoughts: list[str] = []
        async for piece in spoken(run.replies, has_thoughts=True):  # all pieces have arrived
            if isinstance(piece, Thought):
                thoughts.append(piece.text or DELIMITER)
            elif isinstance(piece, Said):
                last, refusal = piece.message, refusal_of(piece.message) or refusal
                if piece.index is not None:
                    texts.append(str(piece.message))
            elif isinstance(piece, Calls):
                calls = piece.calls
        message = AssistantReply(
            DELIMITER.join(texts) or None,
            refusal,
            tool_calls=tuple(ChatToolCall(call.id, Function(call.name, call.arguments)) for call in calls) or UNSET,
            reasoning_content="".join(thoughts).strip() or UNSET,
        )
        choice = Choice(message, finish_reason(last, calls))
        return ChatCompletion(f"chatcmpl-{run.id}", created, run.entry.name, (choice,), _usage(run))


class ChatChunks:
    """A writer of the pieces of a reply as chunks.

    Args:
        run: The call.
        created: The time of its beginning, in Unix seconds.
        has_usage: Whether the client wants the usage.
    """

    __slots__ = ("_has_begun", "_has_ended_thought", "_has_usage", "_index", "_last", "_run", "_stream")

    def __init__(self, run: Run, created: int, *, has_usage: bool) -> None:
        self._run = run
        self._has_usage = has_usage
        self._stream = ChatStream(f"chatcmpl-{run.id}", created, run.entry.name)
        self._has_begun = self._has_ended_thought = False
        self._index = 0
        self._last: Message | None = None

    def of(self, piece: Piece) -> bytes:
        """Return the chunks for a piece; b"" if there are none. The first ones have the role, the last ones the end."""
        stream = self._stream
        if self._has_begun:
            begin = b""
        else:
            self._has_begun = True
            begin = stream.begin()
        if isinstance(piece, Text):
            if piece.index != self._index:
                self._index = piece.index
                begin += stream.text(DELIMITER)
            return begin + stream.text(piece.text)
        if isinstance(piece, Thought):
            return begin + self._thought(piece)
        if isinstance(piece, Said):
            self._last = piece.message
            refusal = refusal_of(piece.message)
            return begin + stream.refusal(refusal) if refusal else begin
        chunks = [begin, *_calls(stream, piece.calls), stream.finish(finish_reason(self._last, piece.calls))]
        if self._has_usage:
            chunks.append(stream.usage(_usage(self._run)))
        return End(b"".join((*chunks, DONE)))

    def _thought(self, piece: Thought) -> bytes:
        """Return the chunk of a piece of reasoning; b"" for the end of a block."""
        if not piece.text:
            self._has_ended_thought = True
            return b""
        delimiter = DELIMITER if self._has_ended_thought else ""
        self._has_ended_thought = False
        return self._stream.reasoning(delimiter + piece.text)


def _calls(stream: ChatStream, calls: Iterable[ToolCall]) -> Iterator[bytes]:
    for number, call in enumerate(calls):
        yield stream.call(number, call.id, call.name)
        yield stream.arguments(number, call.arguments)


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
