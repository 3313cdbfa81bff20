"""Streams of events as responses: they notice a client that goes away, and keep a silent connection open."""

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

    Its head waits for what comes after the prelude, `Limits.head_wait` seconds at most: what fails before has a status
    of its own.

    Starlette's own streaming response sees a client that goes away only when it sends; a model may be silent for long.

    Args:
        events: The events, as bytes. Their generator is closed when the response ends.
        reader: Who reads them.
        problem: What a failure is to a client.
        as_event: A problem as the bytes of an event.
        as_body: A problem as the body of a response; None for our own form.
        limits: How long to wait for the head, and for a ping.
        gone: Called when the client has gone.
        prelude: How many events at the beginning say nothing yet of how it will go; None to send the head at once.
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
        self.background = None  # FastAPI puts in what a route leaves to do
        self.init_headers(_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
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
        """Send the head, and what was held until then, if that is still to be done; the lock is held."""
        if not self._has_head:
            self._has_head = True
            await outlet({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if self._held:
                await outlet(_body(b"".join(self._held)))

    async def _listen(self, receive: Receive, outlet: "_Outlet") -> None:
        """Return when the client has gone, or reads nothing; meanwhile send what keeps the connection open."""
        time, most = asyncio.get_running_loop().time, self._limits.send_timeout
        while True:
            try:
                async with asyncio.timeout(self._limits.ping if self._has_head else self._limits.head_wait):
                    while (await receive())["type"] != "http.disconnect":
                        pass
                return
            except TimeoutError:
                since = outlet.since
                if since is not None:  # a ping would only wait behind it
                    if most is not None and time() - since >= most:
                        return
                else:
                    async with outlet.lock:
                        if self._is_over:
                            pass  # with a problem, perhaps, that had a head of its own
                        elif not self._has_head:
                            await self._begin(outlet)
                        elif self._was_silent:
                            await outlet(_body(PING))
                self._was_silent = True


def _body(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


class _GoneError(Exception):
    """The client has gone: what was sent did not reach it."""


class _Outlet:
    """Where a response goes.

    Args:
        send: Sends.

    Attributes:
        lock: Whoever sends has it: of two who send at once, the second could overtake the first.
        since: Since when something is being sent, on the loop's clock; None if nothing is.
    """

    __slots__ = ("_send", "_time", "lock", "since")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._time = asyncio.get_running_loop().time
        self.lock = asyncio.Lock()
        self.since: float | None = None

    async def __call__(self, message: Message) -> None:
        """Send something.

        Raises:
            _GoneError: The client has gone.
        """
        self.since = self._time()
        try:
            await self._send(message)
        except OSError as error:
            raise _GoneError from error
        finally:
            self.since = None
