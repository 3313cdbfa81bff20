"""Requests without a server and without a client that keeps anything: the app runs in the task of the caller."""

import asyncio
import json
from typing import Any

from miniagents.ext.serving import AgentApp
from tests.ext.serving.servers import TOKEN

HEADERS = [
    (b"host", b"localhost"),
    (b"authorization", f"Bearer {TOKEN}".encode()),
    (b"content-type", b"application/json"),
    (b"anthropic-version", b"2023-06-01"),
]


async def request(app: AgentApp, path: str, body: Any, *, leaves_after: int | None = None) -> list[Any]:
    """Make a request in the caller's own task, without a client that keeps anything.

    Args:
        app: The app.
        path: The path.
        body: The body, as JSON; None for a GET.
        leaves_after: The number of things that the client takes before it leaves; None if it stays.
    """
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET" if body is None else "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": HEADERS,
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    content = b"" if body is None else json.dumps(body).encode()
    received = [{"type": "http.request", "body": content, "more_body": False}]
    sent: list[Any] = []
    has_left = asyncio.Event()

    async def receive() -> Any:
        if received:
            return received.pop()
        await has_left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if has_left.is_set():
            raise OSError
        sent.append(message)
        if len(sent) == leaves_after:
            has_left.set()

    if leaves_after == 0:
        asyncio.get_running_loop().call_later(0.1, has_left.set)
    await app(scope, receive, send)
    return sent
