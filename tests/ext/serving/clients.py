"""Clients at the ASGI interface itself: they send, read and go away at whatever turn of the loop a test says."""

import asyncio
import json
from collections import deque
from typing import Any

from starlette.types import ASGIApp

from tests.ext.serving.servers import TOKEN


class Client:
    """One request, or one WebSocket, without a server in between.

    Args:
        app: Whom it asks.
        path: What it asks for.
        body: What it sends: JSON, and the method is POST; None for a GET.
        method: Its method, if it is another one.
        headers: More headers.
        is_socket: Whether it is a WebSocket.
        reads: Whether it reads what comes; otherwise what is sent to it waits until it does, or has gone.
        slow: Seconds that it takes for each thing that is sent to it.
        version: The version of ASGI's HTTP that its server speaks: before 2.4 it does not say by an error that a client
            has gone.

    Attributes:
        sent: What came back, message by message.
        overlaps: What was sent while something else was still being sent.
        asking: The task of its request.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        body: Any = None,
        *,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        is_socket: bool = False,
        reads: bool = True,
        slow: float = 0.0,
        version: str = "2.4",
    ) -> None:
        given = {"host": "localhost", "authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        path, _, query = path.partition("?")
        scope: dict[str, Any] = {
            "type": "websocket" if is_socket else "http",
            "asgi": {"version": "3.0", "spec_version": version},
            "http_version": "1.1",
            "method": method or ("GET" if body is None else "POST"),
            "scheme": "ws" if is_socket else "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in (given | (headers or {})).items()],
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }
        self._is_socket = is_socket
        self._is_quiet = version < "2.4"
        self._is_open = asyncio.Event()
        if reads:
            self._is_open.set()
        self._slow = slow
        self._is_reading = False
        self._waiting: deque[Any] = deque()
        self._came = asyncio.Event()
        self._has_gone = False
        self.sent: list[Any] = []
        self.overlaps: list[Any] = []
        if is_socket:
            self._send({"type": "websocket.connect"})
        else:
            self.upload(b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode())
        self.asking: asyncio.Task[None] = asyncio.create_task(self._ask(app, scope))

    async def _ask(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        await app(scope, self._receive, self._answer)

    def _send(self, message: Any) -> None:
        self._waiting.append(message)
        self._came.set()

    def upload(self, piece: bytes, *, is_last: bool | None = None) -> None:
        """Send a piece of the body. One that ends with "..." is not the last."""
        more = piece.endswith(b"...") if is_last is None else not is_last
        self._send({"type": "http.request", "body": piece.removesuffix(b"..."), "more_body": more})

    def say(self, **frame: Any) -> None:
        """Send a frame of a WebSocket."""
        self._send({"type": "websocket.receive", "text": json.dumps(frame)})

    def go(self) -> None:
        """Go away. What is sent to it from now on is an error, as ASGI has it."""
        self._has_gone = True
        self._is_open.set()
        self._came.set()

    def reads(self) -> None:
        """Read on."""
        self._is_open.set()

    def stops_reading(self) -> None:
        """Read nothing more."""
        self._is_open.clear()

    async def _receive(self) -> Any:
        while True:
            if self._waiting:
                return self._waiting.popleft()
            if self._has_gone:
                return (
                    {"type": "websocket.disconnect", "code": 1006} if self._is_socket else {"type": "http.disconnect"}
                )
            self._came.clear()
            await self._came.wait()

    async def _answer(self, message: Any) -> None:
        if self._is_reading:
            self.overlaps.append(message)
        self._is_reading = True
        try:
            if self._slow:
                await asyncio.sleep(self._slow)
            await self._is_open.wait()
        finally:
            self._is_reading = False
        if self._has_gone:
            if self._is_quiet:
                return
            raise OSError("the client has gone")
        self.sent.append(message)

    @property
    def status(self) -> int:
        """The status of the response."""
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        """All that came of the body."""
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def events(self) -> list[Any]:
        """What came over a WebSocket."""
        return [json.loads(message["text"]) for message in self.sent if message["type"] == "websocket.send"]
