"""Streamed chat completions, of `agent_app` and of the same endpoint by hand: under a server, and called directly."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from common import MemoryProbe, Stamp

sys.path.insert(0, str(Path(__file__).parents[2]))  # a peer is a script, and the apps and clients are in the package
from benchmarks.serving import TOKEN, load_on, server

_SERVER = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
"""The core of the server. That of a peer, and so of the clients, is the last one."""

_TOKENS = 20
_AT_ONCE = 1000
_LONG = 1000.0
"""Seconds between the tokens of streams that stay live."""


async def streamed(kind: str, n: int) -> tuple[Any, int]:
    """Stream to 1,000 clients at once, from a server in a process of its own, whose CPU time counts.

    Args:
        kind: The app: a key of `benchmarks.serving.KINDS`.
        n: The number of streams.
    """
    clients = min(n, _AT_ONCE)
    used: list[float] = []
    with server(kind, _SERVER, "benchmarks.calm", "--gc", "service", "--notes", os.devnull) as (port, process):

        def note() -> None:
            times = process.cpu_times()
            used.append(times.user + times.system)

        load = await load_on(port, clients=clients, warm=1, times=n // clients, tokens=_TOKENS, during=note)
        note()
    assert not load.broken
    return Stamp((load.seconds, used[1] - used[0])), len(load.first)


class _Client:
    """A client without a connection: it counts the tokens, and stays."""

    def __init__(self) -> None:
        message = {"role": "user", "content": f"{_TOKENS} {_LONG}"}
        self._body = json.dumps({"model": "streamer", "stream": True, "messages": [message]}).encode()
        self._stays = asyncio.get_running_loop().create_future()
        self.tokens = 0

    def scope(self) -> dict[str, Any]:
        headers = {"host": "127.0.0.1", "authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        path = "/v1/chat/completions"
        return {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "POST",
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip

    async def receive(self) -> Any:
        if self._body:
            body, self._body = self._body, b""
            return {"type": "http.request", "body": body, "more_body": False}
        await self._stays
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.tokens += message.get("body", b"").count(b'"token "')


async def live(app: Any, n: int) -> float:
    """Return the bytes of a stream that waits for its second token, without a server.

    Args:
        app: The app.
        n: The number of streams.
    """
    clients = [_Client() for _ in range(n)]
    scopes = [client.scope() for client in clients]
    with MemoryProbe() as probe:
        tasks = [
            asyncio.create_task(app(scope, client.receive, client.send))
            for scope, client in zip(scopes, clients, strict=True)
        ]
        while not all(client.tokens for client in clients):
            await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return probe.per(n)


DEFAULTS = dict(served_stream=4_000, served_mem=2_000)
