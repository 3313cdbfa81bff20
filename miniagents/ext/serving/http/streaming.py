"""Streams of events as responses. A stream notices that its client disconnects, and keeps a silent connection open."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import FAILURES, Problem
from miniagents.ext.serving.http.reply_reading import Reader
from miniagents.ext.serving.http.ticking import ticker_of
from miniagents.ext.wire.sse import PING

_MEDIA_TYPE = "text/event-stream"
_HEADERS = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
    (b"content-type", f"{_MEDIA_TYPE}; charset=utf-8".encode()),
)


class End(bytes):
    """The last event of a stream. The response ends with it, in place of an empty part."""

    __slots__ = ()


class EventStream(Response):
    """A stream of server-sent events.

    The head of the response waits for the first event after the prelude, at most `Limits.head_wait` seconds. So an
    early failure has a status of its own.

    Starlette's own streaming response notices a disconnect only when it sends, and a model may be silent for a long
    time. The task of the request sends the events. The ticker of the event loop finds what is due without an event (the
    head, a ping, the end of a client that reads nothing), up to a second later (`Ticker`).

    Args:
        events: The events, as bytes. An `End` is the last one. The generator is closed when the response ends.
        reader: The reader of the events.
        write: Returns an event as bytes, or b"" to leave it out; None if the events are bytes. A generator around the
            generator would cost more (benchmark `serving`).
        problem: Returns the problem of a failure for the client.
        as_event: Returns a problem as the bytes of an event.
        as_body: Returns a problem as the body of a response; None for our own form.
        limits: The timeouts of the head, of silence, and of a client that does not read.
        gone: Called when the client has disconnected, or the events have failed.
        prelude: The number of events at the beginning that do not show yet whether the call succeeds; None to send the
            head at once.
        first: The bytes that are sent with the head; b"" for none.

    Attributes:
        patience: The shortest of the timeouts, in seconds, more than 0; see `Ticker`.
    """

    media_type = _MEDIA_TYPE

    def __init__(
        self,
        events: AsyncGenerator[Any, None],
        reader: Reader,
        *,
        write: Callable[[Any], bytes] | None = None,
        problem: Callable[[BaseException], Problem],
        as_event: Callable[[Problem], bytes],
        as_body: Callable[[Problem], Any] | None = None,
        limits: Limits,
        gone: Callable[[], object],
        prelude: int | None = 0,
        first: bytes = b"",
    ) -> None:
        self._events = events
        self._reader = reader
        self._write = write
        self._problem = problem
        self._as_event = as_event
        self._as_body = as_body
        self._limits = limits
        self._gone = gone
        self._prelude = prelude
        self._held: list[bytes] = [first] if first else []
        self._has_head = False
        self._is_sending = False
        self._since = 0.0  # when the last sending began, on the loop's clock
        self._beside: asyncio.Task[None] | None = None
        self._request: asyncio.Task[Any] | None = None
        self._has_left = False
        self.patience = min(limits.ping, limits.head_wait or limits.ping, limits.send_timeout or limits.ping)
        self.status_code = 200
        self.background = None  # FastAPI sets it to the background tasks of the route
        self.raw_headers = [*_HEADERS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        with self._reader:
            loop = asyncio.get_running_loop()
            request = self._request = asyncio.current_task()
            assert request is not None  # a server runs an app in a task
            cancelled_before = request.cancelling()
            listening = loop.create_task(self._listen(receive))
            self._send, self._loop, self._since = send, loop, loop.time()
            ticker = ticker_of(loop)
            ticker.add(self)
            has_ended = False
            try:
                await self._send_all(scope, receive)
                has_ended = True
            except _GoneError:
                pass
            except asyncio.CancelledError:
                if not self._has_left or request.uncancel() > cancelled_before:
                    raise
            finally:
                self._request = None
                ticker.remove(self)
                listening.cancel()
                if self._beside is not None:
                    self._beside.cancel()
                if not has_ended:
                    self._gone()
                await self._events.aclose()
            if listening.done() and not listening.cancelled():
                listening.result()
        if self.background is not None:
            await self.background()

    async def _send_all(self, scope: Scope, receive: Receive) -> None:
        reader, send, write = self._reader, self._send, self._write
        prelude = self._prelude if self._prelude is not None else 0
        try:
            if self._prelude is None or not self._limits.head_wait:
                await self._begin()
            async for event in self._events:
                if write is not None:
                    event = write(event)
                    if not event:
                        continue
                if self._has_head:
                    reader.begins_sending()
                    if self._beside is not None:
                        await self._beside
                elif len(self._held) < prelude:
                    self._held.append(event)
                    continue
                else:
                    reader.begins_sending()
                    await self._begin()
                self._since = self._loop.time()
                self._is_sending = True
                has_more = type(event) is not End
                try:
                    await send({"type": "http.response.body", "body": event, "more_body": has_more})
                except OSError as error:
                    raise _GoneError from error
                self._is_sending = False
                reader.has_sent()
                if not has_more:
                    return
        except _GoneError:
            raise
        except FAILURES as error:
            self._gone()
            await self._send_problem(self._problem(error), scope, receive)
            return
        await self._begin()
        await self._put(_body(b"", more=False))

    async def _send_problem(self, problem: Problem, scope: Scope, receive: Receive) -> None:
        """End the stream with a problem: as the last event, or as a response of its own."""
        if self._beside is not None:
            await self._beside
        if self._has_head:
            await self._put(_body(self._as_event(problem), more=False))
            return
        self._has_head = True  # that of the problem
        body = self._as_body(problem) if self._as_body is not None else None
        await problem.response(body)(scope, receive, self._put)

    async def _begin(self) -> None:
        """Send the head and the held events, unless they have been sent."""
        if self._beside is not None:
            await self._beside
        if not self._has_head:
            await self._send_head()

    async def _send_head(self) -> None:
        self._has_head = True
        await self._put({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if self._held:
            await self._put(_body(b"".join(self._held)))

    async def _put(self, message: Message) -> None:
        """Send a message.

        Raises:
            _GoneError: The client has disconnected.
        """
        self._since = self._loop.time()
        self._is_sending = True
        try:
            await self._send(message)
        except OSError as error:
            raise _GoneError from error
        self._is_sending = False

    # The client that goes away, or is to hear something meanwhile

    async def _listen(self, receive: Receive) -> None:
        """End the response when the client disconnects."""
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except asyncio.CancelledError:  # the response has ended
            raise
        except BaseException:
            self._break_off()  # `__call__` raises it
            raise
        self._break_off()

    def _break_off(self) -> None:
        """End the response, since the client has disconnected."""
        if self._request is not None and not self._has_left:
            self._has_left = True
            self._request.cancel()

    def look(self, now: float) -> None:
        """Do what is due: see `Ticker`."""
        quiet = now - self._since
        if self._is_sending:  # a ping would only wait behind it
            most = self._limits.send_timeout
            if most is not None and quiet >= most:
                self._break_off()
        elif quiet >= (self._limits.ping if self._has_head else self._limits.head_wait):
            self._is_sending = True
            self._beside = asyncio.get_running_loop().create_task(self._send_beside())

    async def _send_beside(self) -> None:
        """Send the head, or a ping. The request sends nothing meanwhile."""
        try:
            await (self._put(_body(PING)) if self._has_head else self._send_head())
        except _GoneError:
            self._break_off()
        finally:
            self._beside = None


def _body(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


class _GoneError(Exception):
    """The client has disconnected: the last message did not reach it."""
