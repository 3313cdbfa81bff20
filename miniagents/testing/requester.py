"""The other side of the fake provider: one request, and the connection that its answer takes."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec


class Requester:
    """Who sent a request, and gets its answer: it knows when the client has gone."""

    def __init__(self, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        self._send = send
        self._gone = asyncio.ensure_future(self._wait_until_gone(receive))

    @staticmethod
    async def _wait_until_gone(receive: Callable[[], Awaitable[Any]]) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def pause(self, seconds: float) -> bool:
        """Wait.

        Returns:
            False, at once, when the client goes.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._gone), seconds)
        return not self._gone.done()

    async def flush(self) -> None:
        """Let what was sent reach the client before the connection is cut."""
        await asyncio.sleep(0.01)

    async def start(self, status: int, headers: Mapping[str, str]) -> bool:
        """Send the head of the answer."""
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        return await self._sent({"type": "http.response.start", "status": status, "headers": pairs})

    async def send(self, data: bytes) -> bool:
        """Send a part of the body; False when the client has gone."""
        return await self._sent({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """The body is whole."""
        await self._sent({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer."""
        if await self.start(status, {**headers, "content-length": str(len(body))}):
            await self._sent({"type": "http.response.body", "body": body, "more_body": False})

    async def json(self, status: int, headers: Mapping[str, str], data: Any) -> None:
        """Send a whole answer of JSON."""
        await self.whole(status, {**headers, "content-type": "application/json"}, msgspec.json.encode(data))

    async def _sent(self, message: dict[str, Any]) -> bool:
        await asyncio.sleep(0)  # let a disconnect be seen first
        if self._gone.done():
            return False
        try:
            await self._send(message)
        except OSError:
            return False
        return not self._gone.done() or (message["type"] == "http.response.body" and not message["more_body"])


def text_in(value: Any) -> str:
    """All text in the messages of a request."""
    if not isinstance(value, Mapping):
        return ""
    found: list[str] = []

    def walk(one: Any) -> None:
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, list):
            for item in one:
                walk(item)
        elif isinstance(one, Mapping):
            for name in ("content", "text", "arguments", "output", "function", "tool_calls"):
                if name in one:
                    walk(one[name])

    for name in ("system", "messages", "input", "instructions"):
        walk(value.get(name))
    return "\n".join(found)
