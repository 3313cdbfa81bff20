"""`/agents/{name}` as a WebSocket: messages come in and events go out, both at any time."""

import asyncio
from typing import Any, TypeAlias

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope
from starlette.types import Send as SendEvent
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from miniagents.errors import AppenderClosedError
from miniagents.ext.serving.conversations.conversation_id import ConversationIn
from miniagents.ext.serving.http.disconnect import HeldSocket
from miniagents.ext.serving.http.json_messages import MessageIn, check_count
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import FAILURES, Problem
from miniagents.ext.serving.http.request_body import decode, too_slow
from miniagents.ext.serving.native.events import Failed, Opened, events_of
from miniagents.ext.serving.runs import Run
from miniagents.ext.serving.service import PLACE, Service

_CLOSE_BASE = 4000
"""The close code of an error is this number plus the HTTP status: 4429, 4504."""

_GONE = (WebSocketDisconnect, ClientDisconnect, OSError)
"""The exceptions of a client that has disconnected. Before the socket is accepted, servers raise OSError."""


class Open(msgspec.Struct, frozen=True, tag="open", tag_field="type", forbid_unknown_fields=True):
    """The first frame, which begins the call. A client without arguments may leave it out.

    Attributes:
        arguments: The agent's arguments.
        conversation: The conversation that the call belongs to.
    """

    arguments: dict[str, Any] = {}
    conversation: ConversationIn = None


class Send(MessageIn, frozen=True, tag="message", tag_field="type", forbid_unknown_fields=True):
    """A message to the agent."""


class Finish(msgspec.Struct, frozen=True, tag="finish", tag_field="type", forbid_unknown_fields=True):
    """The end of the messages. Replies continue."""


class Cancel(msgspec.Struct, frozen=True, tag="cancel", tag_field="type", forbid_unknown_fields=True):
    """Cancels the call, and all calls below it."""


Frame: TypeAlias = Open | Send | Finish | Cancel


def parse_frame(raw: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse a frame; see `Parse`."""
    return Parsed(decode(raw, Frame, status=422))  # type: ignore[arg-type]  # a union is a type to msgspec


class AgentSocket:
    """The WebSocket endpoint of agents.

    Args:
        service: The service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: SendEvent) -> None:
        """Serve one call."""
        service = self._service
        max_frames = service.limits.messages + 2  # with `open` and `finish`
        socket = HeldSocket(scope, receive, send, max_frames=max_frames, limits=service.limits)
        try:
            key = await service.key_of(socket, service.keys)
            entry = service.entry(socket.path_params["name"])
            with service.gate.enter(key) as scope[PLACE]:
                await socket.accept()
                async with service.gate.until_cut_off():
                    await self._serve(socket, entry.name, key)
        except Problem as problem:
            await refuse(socket, problem)
        except _GONE:
            pass

    async def _serve(self, socket: WebSocket, name: str, key: str) -> None:
        service, entry = self._service, self._service.entry(name)
        run: Run | None = None
        try:
            first = await self._first(socket)
            opened = first if isinstance(first, Open) else Open()
            arguments = entry.call_arguments(opened.arguments)
            run = await service.begin(socket, entry, key, None, arguments, opened.conversation)
            reader = asyncio.create_task(self._read(socket, run, first))
            try:
                await self._write(socket, run, reader)
            finally:
                reader.cancel()
        except (WebSocketDisconnect, ClientDisconnect):
            raise
        except FAILURES as error:
            raise service.problem(error, run) from None
        finally:
            if run is not None:
                run.leave()

    async def _write(self, socket: WebSocket, run: Run, reader: "asyncio.Task[None]") -> None:
        """Send the events until the last one, or until a wrong frame arrives."""

        def stop(task: "asyncio.Task[None]") -> None:
            if not task.cancelled() and task.exception() is not None:
                run.cancel("the client went away, or broke the protocol")

        reader.add_done_callback(stop)
        place = run.reading.reader()
        try:
            with place:
                shows_tools = self._service.shows_tools
                async for event in events_of(
                    Opened(run.interaction.id, run.id), run.replies, run.meter, place, shows_tools=shows_tools
                ):
                    place.begins_sending()
                    async with asyncio.timeout(self._service.limits.send_timeout):
                        await socket.send_text(msgspec.json.encode(event).decode())
                    place.has_sent()
        except FAILURES:
            if reader.done() and not reader.cancelled():
                reader.result()  # the reason
            if place.is_sending:
                raise WebSocketDisconnect() from None  # the client reads nothing, and counts as disconnected
            raise
        await socket.close()

    async def _read(self, socket: WebSocket, run: Run, first: Frame) -> None:
        """Pass on the frames that arrive, until the client disconnects."""
        frame, count, call = first, 0, run.call
        assert call is not None  # the call was begun without messages
        while True:
            match frame:
                case Send():
                    count += 1
                    check_count(count, self._service.limits)
                    message = frame.message("message")
                    if run.turn is not None:
                        run.turn.add(message)
                    try:
                        call.send_message(message)
                    except AppenderClosedError:
                        raise Problem(400, "A message arrived after the call was finished.", code="finished") from None
                case Finish():
                    call.finish()
                case Cancel():
                    run.cancel("the client cancelled it")
                case Open() if frame is not first:
                    raise Problem(400, "The call is open already.", code="open")
            frame = await self._frame(socket)

    async def _first(self, socket: WebSocket) -> Frame:
        limits = self._service.limits
        try:
            async with asyncio.timeout(limits.body_timeout):
                return await self._frame(socket)
        except TimeoutError:
            raise too_slow(limits) from None

    async def _frame(self, socket: WebSocket) -> Frame:
        received = await socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1000))
        text = received.get("text")
        if text is None:
            raise Problem(400, "A frame must be JSON, as text.", code="invalid_json")
        raw = text.encode("utf-8", "surrogatepass")
        if len(raw) > self._service.limits.body:
            raise Problem(413, f"A frame is larger than {self._service.limits.body} bytes.", code="too_large")
        frame: Frame = (await self._service.parser.parsed(parse_frame, raw)).wanted
        return frame


async def refuse(socket: WebSocket, problem: Problem) -> None:
    """Close a WebSocket with a problem: in the response to its handshake, or in its last event."""
    try:
        if socket.application_state is WebSocketState.CONNECTING:
            await socket.send_denial_response(problem.response())
        else:
            await socket.send_text(msgspec.json.encode(Failed.of(problem.body)).decode())
            await socket.close(_CLOSE_BASE + problem.status)
    except (*_GONE, RuntimeError):
        pass  # the client has disconnected
