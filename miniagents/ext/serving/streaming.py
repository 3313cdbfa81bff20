"""Streams of events as responses: they notice a client that goes away, and keep a silent connection open."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from miniagents.ext.serving.limits import Limits
from miniagents.ext.serving.problems import Problem
from miniagents.ext.wire.sse import PING

_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class EventStream(Response):
    """A stream of server-sent events.

    Its head waits for the first event, `Limits.head_wait` seconds at most: what fails before has a status of its own.

    Starlette's own streaming response sees a client that goes away only when it sends; a model may be silent for long.

    Args:
        events: The events, as bytes. Their generator is closed when the response ends.
        failed: What a failure is, as an exception for `problem`, and as the bytes of an event.
        limits: How long to wait for the head, and for a ping.
        gone: Called when the client has gone.
        headers: More headers.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        *,
        problem: Callable[[Exception], Problem],
        as_event: Callable[[Problem], bytes],
        limits: Limits,
        gone: Callable[[], object],
        headers: dict[str, str] | None = None,
    ) -> None:
        self._events = events
        self._problem = problem
        self._as_event = as_event
        self._limits = limits
        self._gone = gone
        self._head = asyncio.Lock()
        self._has_head = False
        self._was_silent = True
        self._is_gone = False
        self.status_code = 200
        self.background = None
        self.init_headers({**_HEADERS, **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        me = asyncio.current_task()
        assert me is not None  # a server runs each request in one
        listener = asyncio.create_task(self._listen(receive, send, me))
        try:
            await self._send_all(scope, receive, send)
        except asyncio.CancelledError:
            if not self._is_gone or me.uncancel() > 0:
                raise
        finally:
            listener.cancel()
            await self._events.aclose()

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async for event in self._events:
                self._was_silent = False
                await self._begin(send)
                await send({"type": "http.response.body", "body": event, "more_body": True})
        except Exception as error:
            problem = self._problem(error)
            async with self._head:
                if not self._has_head:
                    self._has_head = True
                    await problem.response()(scope, receive, send)
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

    async def _listen(self, receive: Receive, send: Send, sender: "asyncio.Task[Any]") -> None:
        """Wait for the client to go away; meanwhile send what keeps the connection open."""
        while True:
            try:
                async with asyncio.timeout(self._limits.ping if self._has_head else self._limits.head_wait):
                    while (await receive())["type"] != "http.disconnect":
                        pass
            except TimeoutError:
                if not self._has_head:
                    await self._begin(send)
                elif self._was_silent:
                    await send({"type": "http.response.body", "body": PING, "more_body": True})
                self._was_silent = True
            else:
                self._is_gone = True
                self._gone()
                sender.cancel()
                return
