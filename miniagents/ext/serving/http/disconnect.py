"""Waiting while the client is there: for its turn in a conversation, or for what an agent replies."""

import asyncio
from collections import deque
from contextlib import suppress

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem


class HeldSocket(WebSocket):
    """A WebSocket that can be asked whether its client is there still: what comes meanwhile is held, and read later.

    Args:
        scope: The connection.
        receive: What comes in.
        send: Sends.
        most: How many frames are held; no more are read before these have been.
        limits: How many bytes it takes in all.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, most: int, limits: Limits) -> None:
        super().__init__(scope, receive, send)
        self._held: deque[Message] = deque()
        self._most = most
        self._limits = limits
        self._came = 0

    async def receive(self) -> Message:
        """What comes next.

        Raises:
            Problem: 413: it is too much in all.
        """
        return self._held.popleft() if self._held else await self._received()

    async def _received(self) -> Message:
        message = await super().receive()
        text = message.get("text")
        self._came += len(message.get("bytes") or b"") if text is None else len(text.encode("utf-8", "surrogatepass"))
        if self._came > self._limits.socket:
            raise Problem(413, f"More than {self._limits.socket} bytes came over this WebSocket.", code="too_large")
        return message

    async def disconnected(self) -> None:
        """Wait until the client has gone."""
        while True:
            if len(self._held) >= self._most:
                await asyncio.Event().wait()
            message = await self._received()
            self._held.append(message)
            if message["type"] == "websocket.disconnect":
                return


async def disconnected(request: HTTPConnection) -> None:
    """Wait until the client has gone."""
    if isinstance(request, HeldSocket):
        await request.disconnected()
        return
    assert isinstance(request, Request)  # there are no other connections
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def acquire(request: HTTPConnection, lock: asyncio.Lock, timeout: float | None) -> None:
    """Wait for a lock that others have or wait for, in order; no longer than the deadline allows, or the client is
    there.

    Raises:
        Problem: 504: it did not come in time; 413: the client has sent too much meanwhile.
        ClientDisconnect: The client has gone meanwhile.
    """
    listener = asyncio.create_task(disconnected(request))
    try:
        async with asyncio.timeout(timeout) as limit:

            def gone(task: "asyncio.Task[None]") -> None:
                if not task.cancelled():
                    task.exception()  # it is raised below, if this is why the wait ends
                    with suppress(RuntimeError):  # the wait has ended in the same turn of the loop
                        limit.reschedule(0.0)

            listener.add_done_callback(gone)
            await lock.acquire()
            listener.cancel()
    except TimeoutError:
        if listener.done() and not listener.cancelled():
            listener.result()
            raise ClientDisconnect() from None
        text = "The requests before this one in the conversation took too long."
        raise Problem(504, text, code="timeout", is_final=True) from None
    finally:
        listener.cancel()
