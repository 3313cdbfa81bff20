"""`Requester`: the client of one request to the fake provider, as its ASGI server sees it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = "Mapping[str, Any] | list[Any] | str | int | float | bool | None"
"""A value of JSON, as msgspec decodes it."""


class Requester:
    """The client of one request: takes the answer, and reports a disconnect.

    Args:
        receive: The ASGI `receive` of the request, whose body has been read.
        send: The ASGI `send`.
    """

    def __init__(self, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        self._send = send
        self._disconnected = asyncio.ensure_future(self._wait_for_disconnect(receive))

    @staticmethod
    async def _wait_for_disconnect(receive: Callable[[], Awaitable[Any]]) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def pause(self, seconds: float) -> bool:
        """Wait, but no longer than the client stays connected.

        Args:
            seconds: The time to wait.

        Returns:
            False if the client has disconnected.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._disconnected), seconds)
        return not self._disconnected.done()

    async def flush(self) -> None:
        """Give the bytes that were sent time to reach the client, before the connection is cut."""
        await asyncio.sleep(0.01)

    async def start(self, status: int, headers: Mapping[str, str]) -> bool:
        """Send the status and the headers; return False if the client has disconnected."""
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        return await self._sent({"type": "http.response.start", "status": status, "headers": pairs})

    async def send(self, data: bytes) -> bool:
        """Send a part of the body; return False if the client has disconnected."""
        return await self._sent({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """Send the end of the body."""
        await self._sent({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a complete answer."""
        if await self.start(status, {**headers, "content-length": str(len(body))}):
            await self._sent({"type": "http.response.body", "body": body, "more_body": False})

    async def json(self, status: int, headers: Mapping[str, str], data: object) -> None:
        """Send a complete answer of JSON."""
        await self.whole(status, {**headers, "content-type": "application/json"}, msgspec.json.encode(data))

    async def _sent(self, message: dict[str, Any]) -> bool:
        await asyncio.sleep(0)  # a disconnect that has arrived is seen first
        if self._disconnected.done():
            return False
        try:
            await self._send(message)
        except OSError:
            return False
        return not self._disconnected.done() or (message["type"] == "http.response.body" and not message["more_body"])


def text_in(body: Json) -> str:
    """Return all text in the messages of a request, joined by newlines.

    Args:
        body: The JSON body of the request.

    Example:
        >>> text_in({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
        'Hello'
    """
    if not isinstance(body, Mapping):
        return ""
    return "\n".join(
        text for name in ("system", "messages", "input", "instructions") for text in _texts_in(body.get(name))
    )


def _texts_in(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item)
    elif isinstance(value, Mapping):
        for name in ("content", "text", "arguments", "output", "function", "tool_calls"):
            if name in value:
                yield from _texts_in(value[name])
