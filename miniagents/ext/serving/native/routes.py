"""Agents in routes of the application: a promise as a stream of events, and errors as answers."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeAlias

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Message as Sent
from starlette.websockets import WebSocket

from miniagents.agents import Interaction
from miniagents.agents.reply_promise import ReplyPromise
from miniagents.errors import AnswerRefusedError, MiniAgentsError
from miniagents.ext.llms.metering import Meter, current_meter
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem, refused, told
from miniagents.ext.serving.http.reply_reading import Reader, Reading
from miniagents.ext.serving.http.streaming import EventStream
from miniagents.ext.serving.native.events import Ended, Failed, Opened, events_of
from miniagents.ext.serving.native.websocket import refuse
from miniagents.ext.serving.runs import end_soon
from miniagents.ext.serving.service import Service
from miniagents.ext.serving.shown import are_tools_shown
from miniagents.ext.wire.sse import sse as event_bytes
from miniagents.messages import MessagePromise, MessageSequence, MessageSequencePromise
from miniagents.messages.sequence import AnswerPromise
from miniagents.promising.flow import current_flow

Replies: TypeAlias = MessageSequencePromise | MessagePromise
"""The replies of an agent: `agent.inquire(...)`, `replies.answer()`, or one message of these."""


def sse(
    promise: Replies,
    *,
    cancels: bool = True,
    expose: Iterable[str] = (),
    shows_errors: bool = False,
    limits: Limits | None = None,
) -> "PromiseStream":
    """Return the replies of an agent as a stream of server-sent events: the response of a route of the application.

    The events are those of `/agents/{name}`: `open`, `token`, `message`, and `end` or `error` as the last one. A
    failure before the first reply has a status of its own; a later one is the last event. A client that does not read
    slows the agent down: streams that begin below the call from now on pause.

    The result can also be the content of another response: `StreamingResponse(sse(promise), media_type=...)`. That
    response then decides about the status, and about a client that disconnects.

    Args:
        promise: The replies of the agent.
        cancels: Whether the call is cancelled when the client disconnects; otherwise the call continues.
        expose: The parts that the client sees besides answers: "tools" for the agent's own tool calls and their
            results.
        shows_errors: Whether the client sees the texts of the agents' own errors; otherwise only the log has them.
        limits: The limits of the replies (`reply`, `ahead`), and the timeouts (`head_wait`, `ping`, `send_timeout`);
            None for `Limits()`.

    Raises:
        InvalidOptionError: `expose=` has an unknown part.

    Example:
        >>> @miniagent
        ... async def adviser(ctx):
        ...     ctx.reply(f"About {await ctx.message_promises}: have some tea.")
        >>> async with MiniAgents():
        ...     async for event in sse(adviser.inquire("rain")):  # a route returns sse(...) as its response
        ...         print(event.decode().splitlines()[0])
        event: open
        event: token
        event: message
        event: end
    """
    return PromiseStream(
        promise,
        cancels=cancels,
        shows_tools=are_tools_shown(expose),
        shows_errors=shows_errors,
        limits=limits if limits is not None else Limits(),
    )


class PromiseStream(EventStream):
    """A promise as a stream of events, made by `sse`. Iterating it yields the events as bytes."""

    def __init__(
        self, promise: Replies, *, cancels: bool, shows_tools: bool, shows_errors: bool, limits: Limits
    ) -> None:
        self._promise = promise
        self._cancels = cancels
        self._shows_tools = shows_tools
        self._replies: MessageSequencePromise = MessageSequence.turn_into_sequence_promise(promise)
        call = _call_of(promise)
        self._reading = _reading_of(self._replies, call, limits)
        self._number = call.id if call is not None else None
        self._meter = _joined(call, self._reading)
        reader = self._reading.reader()
        super().__init__(
            self._events_as_bytes(reader),
            reader,
            problem=lambda error: told(error, shows_errors=shows_errors, interaction=self._number),
            as_event=lambda problem: event_bytes(Failed(problem.body.error), "error"),
            limits=limits,
            gone=self._leave,
            prelude=1,
        )

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """Yield the events when they arrive. A failure is the last event."""
        pieces: asyncio.Queue[bytes] = asyncio.Queue()

        async def send(sent: Sent) -> None:
            if body := sent.get("body"):
                pieces.put_nowait(body)
                await pieces.join()

        async def receive() -> Sent:
            return await asyncio.Event().wait()  # type: ignore[return-value]  # a client that disconnects ends the iteration

        self._prelude = None
        sending = asyncio.create_task(self({"type": "http"}, receive, send))
        sending.add_done_callback(lambda _: pieces.put_nowait(b""))
        try:
            while piece := await pieces.get():
                yield piece
                pieces.task_done()
        finally:
            sending.cancel()
            await asyncio.wait({sending})

    async def _events_as_bytes(self, reader: Reader) -> AsyncGenerator[bytes, None]:
        is_whole = False
        opened = Opened(self._number, None)
        events = events_of(opened, self._replies, self._meter, reader, shows_tools=self._shows_tools)
        try:
            async with aclosing(events):
                async for event in events:
                    yield event_bytes(event, str(type(event).__struct_config__.tag))
                    is_whole = isinstance(event, Ended)
        finally:
            if not is_whole:
                self._leave()

    def _leave(self) -> None:
        if self._cancels:
            self._promise.cancel("the client went away")


def _call_of(promise: Replies) -> Interaction | None:
    """Return the call behind the replies, if it is still under way."""
    while isinstance(promise, AnswerPromise):
        promise = promise.whole
    return promise.interaction if isinstance(promise, ReplyPromise) else None


def _reading_of(replies: MessageSequencePromise, call: Interaction | None, limits: Limits) -> Reading:
    """The events of the replies of a call, shared by all readers."""
    reading = getattr(replies.tap, "__self__", None)
    if not isinstance(reading, Reading):
        overflow, whose = (partial(end_soon, call), repr(call.agent.alias)) if call is not None else (None, "the agent")
        reading = Reading(limits.ahead, limits.reply, overflow, whose=whose)
        for piece in replies.pieces:
            reading.came(replies, piece)
        replies.tap = reading.came
        if isinstance(replies, AnswerPromise):
            # An agent that replies without a pause keeps the answer from its turn: the limit holds for the whole, too.
            _reading_of(replies.whole, call, limits)
    return reading


def _joined(call: Interaction | None, reading: Reading) -> Meter:
    """Follow the work that a call starts from now on: meter its models, and pause its streams for a slow reader."""
    context = call.context if call is not None else None
    if context is None:
        return Meter()
    meter = context.get(current_meter)
    if meter is None:
        meter = Meter()
        context.run(current_meter.set, meter)
    context.run(current_flow.set, reading)
    return meter


def handlers_of(service: Service) -> dict[Any, Any]:
    """Return the handlers of this package's errors in routes of the application.

    Args:
        service: The service, which decides whether texts are shown.
    """

    async def answer(connection: HTTPConnection, error: Exception) -> Response | None:
        problem = refused(error) if isinstance(error, AnswerRefusedError) else service.problem(error)
        if isinstance(connection, WebSocket):
            await refuse(connection, problem)
            return None
        return problem.response()

    return {MiniAgentsError: answer, Problem: answer}
