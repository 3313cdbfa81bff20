"""Waits that end when the client disconnects: for a turn in a conversation, or for the replies of an agent."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import FAILURES, Problem
from miniagents.promising import Promise

T = TypeVar("T")


class HeldSocket(WebSocket):
    """A WebSocket that can watch for a disconnect before its frames are read. Frames that arrive meanwhile are held.

    Args:
        scope: The connection.
        receive: Receives a frame.
        send: Sends a frame.
        max_frames: The most frames that are held. Then no more are received until one has been read.
        limits: The limit of bytes in total.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, max_frames: int, limits: Limits) -> None:
        super().__init__(scope, receive, send)
        self._held: deque[Message] = deque()
        self._max_frames = max_frames
        self._limits = limits
        self._came = 0

    async def receive(self) -> Message:
        """Return the next frame.

        Raises:
            Problem: 413: the frames have too many bytes in total.
        """
        return self._held.popleft() if self._held else await self._received()

    async def _received(self) -> Message:
        message = await super().receive()
        text = message.get("text")
        self._came += len(message.get("bytes") or b"") if text is None else len(text.encode("utf-8", "surrogatepass"))
        if self._came > self._limits.socket:
            raise Problem(413, f"More than {self._limits.socket} bytes arrived over this WebSocket.", code="too_large")
        return message

    async def disconnected(self) -> None:
        """Wait until the client has disconnected."""
        while True:
            if len(self._held) >= self._max_frames:
                await asyncio.Event().wait()
            message = await self._received()
            self._held.append(message)
            if message["type"] == "websocket.disconnect":
                return


async def disconnected(request: HTTPConnection) -> None:
    """Wait until the client has disconnected."""
    if isinstance(request, HeldSocket):
        await request.disconnected()
        return
    assert isinstance(request, Request)  # there are no other connections
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def acquire(request: HTTPConnection, lock: asyncio.Lock, timeout: float | None) -> None:
    """Acquire a lock, first come, first served, until the timeout has passed or the client disconnects.

    Args:
        request: The request of the client.
        lock: The lock.
        timeout: Seconds to wait; None for no limit.

    Raises:
        Problem: 504: the timeout has passed; 413: the client has sent too much meanwhile.
        ClientDisconnect: The client has disconnected meanwhile.
    """
    listener = asyncio.create_task(disconnected(request))
    try:
        async with asyncio.timeout(timeout) as limit:

            def gone(task: "asyncio.Task[None]") -> None:
                if not task.cancelled():
                    task.exception()  # raised below, if this is why the wait ends
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


async def while_connected(
    request: HTTPConnection,
    promise: Promise[T],
    *,
    on_disconnect: Callable[[], object],
    on_cancel: Callable[[], object],
) -> T:
    """Await a promise for a client.

    Args:
        request: The request of the client.
        promise: The promise.
        on_disconnect: Called when the client has disconnected, or its connection is broken. It ends the promise.
        on_cancel: Called when the task of the request is cancelled.

    Raises:
        ClientDisconnect: The client has disconnected.
    """
    listener = asyncio.create_task(disconnected(request))
    listener.add_done_callback(partial(_disconnected, on_disconnect))
    try:
        return await promise
    except FAILURES as error:
        if listener.done():
            error.__traceback__ = None  # from Python 3.12 on, it leads through this frame to those of the request
            raise ClientDisconnect() from None
        raise
    except asyncio.CancelledError:
        on_cancel()
        raise
    finally:
        listener.cancel()
        del request, promise, on_disconnect, on_cancel  # else the call, its error and this frame would be a cycle


def _disconnected(on_disconnect: Callable[[], object], listener: "asyncio.Task[Any]") -> None:
    if not listener.cancelled():
        on_disconnect()
