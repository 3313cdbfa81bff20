"""Streams of events as responses: they notice a client that goes away, and keep a silent connection open."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from miniagents.ext.serving.limits import Limits
from miniagents.ext.serving.problems import Problem
from miniagents.ext.wire.sse import PING

_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class EventStream(Response):
    """A stream of server-sent events.

    Its head waits for what comes after the prelude, `Limits.head_wait` seconds at most: what fails before has a status
    of its own.

    Starlette's own streaming response sees a client that goes away only when it sends; a model may be silent for long.

    Args:
        events: The events, as bytes. Their generator is closed when the response ends.
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
        *,
        problem: Callable[[Exception], Problem],
        as_event: Callable[[Problem], bytes],
        as_body: Callable[[Problem], Any] | None = None,
        limits: Limits,
        gone: Callable[[], object],
        prelude: int | None = 0,
    ) -> None:
        self._events = events
        self._problem = problem
        self._as_event = as_event
        self._as_body = as_body
        self._limits = limits
        self._gone = gone
        self._prelude = prelude
        self._held: list[bytes] = []
        self._head = asyncio.Lock()
        self._has_head = False
        self._was_silent = True
        self._sending_since: float | None = None
        self.status_code = 200
        self.background = None
        self.init_headers(_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        sending = asyncio.create_task(self._send_all(scope, receive, _or_gone(send)))
        listening = asyncio.create_task(self._listen(receive, _or_gone(send)))
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
        if not sending.cancelled() and not isinstance(sending.exception(), _GoneError):
            sending.result()

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        time = asyncio.get_running_loop().time
        prelude = self._prelude if self._prelude is not None else 0
        try:
            if self._prelude is None:
                await self._begin(send)
            async for event in self._events:
                self._was_silent = False
                if not self._has_head and len(self._held) < prelude:
                    self._held.append(event)
                    continue
                if not self._has_head:
                    await self._begin(send)
                self._sending_since = time()
                await send({"type": "http.response.body", "body": event, "more_body": True})
                self._sending_since = None
        except _GoneError:
            raise
        except Exception as error:
            problem = self._problem(error)
            async with self._head:
                if not self._has_head:
                    self._has_head = True
                    body = self._as_body(problem) if self._as_body is not None else None
                    await problem.response(body)(scope, receive, send)
                    return
            await send({"type": "http.response.body", "body": self._as_event(problem), "more_body": True})
        await self._begin(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, send: Send) -> None:
        if self._has_head:
            return
        async with self._head:
            if not self._has_head:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                self._has_head = True
                if self._held:
                    await send({"type": "http.response.body", "body": b"".join(self._held), "more_body": True})

    async def _listen(self, receive: Receive, send: Send) -> None:
        """Return when the client has gone, or reads nothing; meanwhile send what keeps the connection open."""
        time, most = asyncio.get_running_loop().time, self._limits.send_timeout
        while True:
            try:
                async with asyncio.timeout(self._limits.ping if self._has_head else self._limits.head_wait):
                    while (await receive())["type"] != "http.disconnect":
                        pass
                return
            except TimeoutError:
                since = self._sending_since
                if since is not None:  # a ping would only wait behind it
                    if most is not None and time() - since >= most:
                        return
                elif not self._has_head:
                    await self._begin(send)
                elif self._was_silent:
                    await send({"type": "http.response.body", "body": PING, "more_body": True})
                self._was_silent = True


class _GoneError(Exception):
    """The client has gone: what was sent did not reach it."""


def _or_gone(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        try:
            await send(message)
        except OSError as error:
            raise _GoneError from error

    return wrapped
