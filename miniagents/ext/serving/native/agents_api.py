"""`/agents/{name}`: an agent with plain JSON, complete or as a stream that can be resumed."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from miniagents.ext.serving.conversations.conversation_id import ConversationIn
from miniagents.ext.serving.http.json_messages import MessageIn, UsageOut, messages_in
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import Problem, json_response
from miniagents.ext.serving.http.reply_messages import MessageOut
from miniagents.ext.serving.http.reply_reading import Reader
from miniagents.ext.serving.http.request_body import decode, read_body
from miniagents.ext.serving.http.request_headers import header
from miniagents.ext.serving.http.streaming import EventStream
from miniagents.ext.serving.native.events import Ended, Failed, Opened, events_of
from miniagents.ext.serving.native.resumable_streams import KeptRuns
from miniagents.ext.serving.runs import Run
from miniagents.ext.serving.service import Service
from miniagents.ext.serving.shown import Shown
from miniagents.ext.wire.sse import sse

_LAST = b"last-event-id"
_NUMBER = re.compile(r"[0-9]{1,18}")


class AgentInfo(msgspec.Struct, frozen=True):
    """A served agent.

    Attributes:
        name: The name of the agent in the API.
        description: The description of the agent, or null.
        arguments: The names of its arguments.
    """

    name: str
    description: str | None
    arguments: tuple[str, ...]


class AgentList(msgspec.Struct, frozen=True):
    """All served agents."""

    agents: tuple[AgentInfo, ...]


class AgentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call of an agent.

    Attributes:
        messages: A text, or messages.
        arguments: The agent's arguments.
        stream: Whether the answer is a stream of events.
        keep: Seconds for which a stream outlives its connection, 0 or more; ignored without `stream`.
        conversation: The conversation that the call belongs to.
    """

    messages: str | list[str | MessageIn] = []
    arguments: dict[str, Any] = {}
    stream: bool = False
    keep: Annotated[float, Meta(ge=0)] = 0.0
    conversation: ConversationIn = None


class AgentReply(msgspec.Struct, frozen=True):
    """The replies of an agent.

    Attributes:
        interaction: The number of the call.
        messages: The messages.
        usage: The usage of all models below the call.
    """

    interaction: int
    messages: tuple[MessageOut, ...]
    usage: UsageOut


def parse_call(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse a call of an agent; see `Parse`."""
    wanted = decode(body, AgentRequest, status=422)
    messages = messages_in(wanted.messages, limits)
    return Parsed(msgspec.structs.replace(wanted, messages=[]), messages)


class AgentsApi:
    """The endpoints of agents.

    Args:
        service: The service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.kept = KeptRuns(service.limits.kept, service.limits.kept_bytes)

    async def agents(self, request: Request, key: str) -> Response:
        """Answer `GET /agents`."""
        entries = self._service.entries.values()
        return json_response(AgentList(tuple(AgentInfo(e.name, e.description, e.argument_names) for e in entries)))

    async def call(self, request: Request, key: str) -> Response:
        """Answer `POST /agents/{name}`."""
        service = self._service
        entry = service.entry(request.path_params["name"])
        body = await read_body(request, service.limits)
        if header(request.scope, _LAST) is not None:
            return self._resumed(request, key)  # a client repeats its request to resume its stream
        wanted, messages, _ = await service.parser.parsed(parse_call, body)
        if wanted.keep > service.limits.keep:
            raise Problem(
                422, f"A stream is kept for 0 to {service.limits.keep} s (keep)", param="keep", code="invalid"
            )
        keeps = wanted.stream and wanted.keep > 0
        if keeps:
            self.kept.check_room(key)
        arguments = entry.call_arguments(wanted.arguments)
        run = await service.begin(request, entry, key, messages, arguments, wanted.conversation)
        if wanted.stream:
            if keeps:
                self.kept.add(run, wanted.keep)
            return self._stream(run, after=-1, prelude=1)
        replies = await service.whole(request, run)
        shown = Shown.all(replies, shows_tools=service.shows_tools)
        return json_response(AgentReply(run.interaction.id, shown, UsageOut.of(run.meter)))

    async def resume(self, request: Request, key: str) -> Response:
        """Answer `GET /agents/{name}/streams/{stream}`: a kept stream, complete or after `Last-Event-ID`."""
        self._service.entry(request.path_params["name"])
        return self._resumed(request, key)

    def _resumed(self, request: Request, key: str) -> Response:
        last = header(request.scope, _LAST) or ""
        of, _, number = last.rpartition(":")
        stream = request.path_params.get("stream", of)
        run = self.kept.get(stream, key, request.path_params["name"])
        if last and (of != stream or not _NUMBER.fullmatch(number)):
            raise Problem(400, "Last-Event-ID names no event of this stream.", param="last-event-id", code="invalid")
        return self._stream(run, after=int(number) if last else -1, prelude=None)

    def _stream(self, run: Run, *, after: int, prelude: int | None) -> Response:
        place, reader = _Place(), run.reading.reader()
        is_kept = self.kept.keeps(run)
        service = self._service
        return EventStream(
            self._events(run, reader, after, place),
            reader,
            problem=lambda error: service.problem(error, run),
            as_event=lambda problem: sse(Failed.of(problem.body), "error", f"{run.id}:{place.number}"),
            limits=service.limits,
            gone=_stay if is_kept else run.leave,
            prelude=prelude,
        )

    async def _events(self, run: Run, reader: Reader, after: int, place: "_Place") -> AsyncGenerator[bytes, None]:
        is_whole = False
        try:
            with self.kept.read(run):
                shows_tools = self._service.shows_tools
                async with aclosing(
                    events_of(
                        Opened(run.interaction.id, run.id), run.replies, run.meter, reader, shows_tools=shows_tools
                    )
                ) as events:
                    async for event in events:
                        if place.number > after:
                            kind = type(event).__struct_config__.tag
                            yield sse(event, str(kind), f"{run.id}:{place.number}")
                        place.number += 1
                        is_whole = isinstance(event, Ended)
        finally:
            if not is_whole and not self.kept.keeps(run):
                run.cancel("its stream broke off")


def _stay() -> None:
    """Do nothing when the client disconnects: its stream is kept."""


class _Place:
    """The place of one reader of a stream: the number of its next event."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0
