"""Streams of events as responses. A stream notices that its client disconnects, and keeps a silent connection open."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import FAILURES, Problem
from miniagents.ext.serving.http.reply_reading import Reader
from miniagents.ext.wire.sse import PING

_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class EventStream(Response):
    """A stream of server-sent events.

    The head of the response waits for the first event after the prelude, at most `Limits.head_wait` seconds. So an
    early failure has a status of its own.

    Starlette's own streaming response notices a disconnect only when it sends, and a model may be silent for a long
    time.

    Args:
        events: The events, as bytes. The generator is closed when the response ends.
        reader: The reader of the events.
        problem: Returns the problem of a failure for the client.
        as_event: Returns a problem as the bytes of an event.
        as_body: Returns a problem as the body of a response; None for our own form.
        limits: The timeouts of the head, of silence, and of a client that does not read.
        gone: Called when the client has disconnected.
        prelude: The number of events at the beginning that do not show yet whether the call succeeds; None to send the
            head at once.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        reader: Reader,
        *,
        problem: Callable[[BaseException], Problem],
        as_event: Callable[[Problem], bytes],
        as_body: Callable[[Problem], Any] | None = None,
        limits: Limits,
        gone: Callable[[], object],
        prelude: int | None = 0,
    ) -> None:
        self._events = events
        self._reader = reader
        self._problem = problem
        self._as_event = as_event
        self._as_body = as_body
        self._limits = limits
        self._gone = gone
        self._prelude = prelude
        self._held: list[bytes] = []
        self._has_head = False
        self._is_over = False
        self._was_silent = True
        self.status_code = 200
        self.background = None  # FastAPI sets it to the background tasks of the route
        self.init_headers(_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        with self._reader:
            await self._run(scope, receive, send)
        if self.background is not None:
            await self.background()

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        outlet = _Outlet(send)
        sending = asyncio.create_task(self._send_all(scope, receive, outlet))
        listening = asyncio.create_task(self._listen(receive, outlet))
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = sending.done() and not sending.cancelled() and sending.exception() is None
            for task in (sending, listening):
                task.cancel()
            if not ended:
                self._gone()
            await asyncio.wait({sending, listening})
            await self._events.aclose()
        for task in (sending, listening):
            if not task.cancelled() and not isinstance(task.exception(), _GoneError):
                task.result()

    async def _send_all(self, scope: Scope, receive: Receive, outlet: "_Outlet") -> None:
        begin_sending, end_sending = self._reader.begins_sending, self._reader.has_sent
        prelude = self._prelude if self._prelude is not None else 0
        try:
            if self._prelude is None:
                async with outlet.lock:
                    await self._begin(outlet)
            async for event in self._events:
                self._was_silent = False
                if not self._has_head and len(self._held) < prelude:
                    self._held.append(event)
                    continue
                begin_sending()
                if self._has_head and not outlet.lock.locked():
                    await outlet(_body(event))  # a ping does not begin meanwhile, see `since`
                else:
                    async with outlet.lock:
                        await self._begin(outlet)
                        await outlet(_body(event))
                end_sending()
        except _GoneError:
            raise
        except FAILURES as error:
            problem = self._problem(error)
            async with outlet.lock:
                self._is_over = True
                if self._has_head:
                    await outlet(_body(self._as_event(problem)))
                    await outlet(_body(b"", more=False))
                else:
                    body = self._as_body(problem) if self._as_body is not None else None
                    await problem.response(body)(scope, receive, outlet)
            return
        async with outlet.lock:
            self._is_over = True
            await self._begin(outlet)
            await outlet(_body(b"", more=False))

    async def _begin(self, outlet: "_Outlet") -> None:
        """Send the head and the held events, unless they have been sent. The caller has the lock."""
        if not self._has_head:
            self._has_head = True
            await outlet({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if self._held:
                await outlet(_body(b"".join(self._held)))

    async def _listen(self, receive: Receive, outlet: "_Outlet") -> None:
        """Return when the client has disconnected, or reads nothing. Until then, keep the connection open."""
        time, most = asyncio.get_running_loop().time, self._limits.send_timeout
        while True:
            try:
                async with asyncio.timeout(self._limits.ping if self._has_head else self._limits.head_wait):
                    while (await receive())["type"] != "http.disconnect":
                        pass
                return
            except TimeoutError:
                since = outlet.since
                if since is not None:  # a ping would have to wait for that message
                    if most is not None and time() - since >= most:
                        return
                else:
                    async with outlet.lock:
                        if self._is_over:
                            pass  # possibly with a problem, which has a head of its own
                        elif not self._has_head:
                            await self._begin(outlet)
                        elif self._was_silent:
                            await outlet(_body(PING))
                self._was_silent = True


def _body(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


class _GoneError(Exception):
    """The client has disconnected: the last message did not reach it."""


class _Outlet:
    """The way out of a response.

    Args:
        send: Sends a message.

    Attributes:
        lock: The lock of the sender. Without it, the second of two concurrent messages could overtake the first.
        since: The time at which the current message began to be sent, on the loop's clock; None if none is being sent.
    """

    __slots__ = ("_send", "_time", "lock", "since")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._time = asyncio.get_running_loop().time
        self.lock = asyncio.Lock()
        self.since: float | None = None

    async def __call__(self, message: Message) -> None:
        """Send a message.

        Raises:
            _GoneError: The client has disconnected.
        """
        self.since = self._time()
        try:
            await self._send(message)
        except OSError as error:
            raise _GoneError from error
        finally:
            self.since = None
