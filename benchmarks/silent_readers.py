"""Clients that send a request and never read: `python -m benchmarks.silent_readers`.

1,000 connections ask an agent that talks without end, and read nothing. The server is a process of its own, with
uvicorn and uvloop; its memory is read ten times. The buffers of the sockets, which the system lets grow to several MiB,
are kept small, so that they are full soon. Then all connections are closed, and what still runs is counted: nothing
may.
"""

import argparse
import json
import os
import socket
import time
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.serving import TOKEN, raise_file_limit, serve, server

KINDS = ("stream", "reply", "route")
_PIECE = "x" * 1000
_BUFFER = 65_536
_PATIENCE = 30.0
"""Seconds in which all calls must have ended after their clients have disconnected."""


def _app() -> Any:
    import asyncio

    from fastapi import FastAPI, Response

    from miniagents import InteractionContext, TextMessage, miniagent
    from miniagents.ext.serving import Limits, agent_app, sse

    async def pieces(_: object) -> AsyncIterator[str]:
        while True:
            yield _PIECE
            await asyncio.sleep(0)

    @miniagent
    async def stream(ctx: InteractionContext) -> None:
        """Streams one message without end."""
        ctx.reply(TextMessage.promise(message_token_streamer=pieces))

    @miniagent
    async def reply(ctx: InteractionContext) -> None:
        """Sends messages without end."""
        while True:
            await ctx.reply(_PIECE)

    limits = Limits(send_timeout=None, concurrent=None)
    agents = agent_app([stream, reply], auth=TOKEN, admin_auth=TOKEN, limits=limits)
    app = FastAPI(lifespan=agents.lifespan)

    @app.post("/route")
    async def route() -> Response:
        return sse(reply.inquire(), limits=limits)

    app.mount("/", agents)
    return app


def _ask(port: int, kind: str) -> socket.socket:
    body = json.dumps({"stream": True}).encode()
    path = "/route" if kind == "route" else f"/agents/{kind}"
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {TOKEN}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    connection.connect(("127.0.0.1", port))
    connection.sendall(head.encode() + body)
    return connection


def _running(port: int) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/interactions", headers={"authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return len(json.load(answer)["interactions"])


def measure(kind: str, readers: int, seconds: int, core: int) -> None:
    """Measure the memory of a server whose clients never read, and the calls left after they have disconnected."""
    with server(kind, core, "benchmarks.silent_readers") as (port, process):

        def taken() -> float:
            return process.memory_info().rss / 2**20

        _running(port)
        before = taken()
        connections = [_ask(port, kind) for _ in range(readers)]
        samples = []
        for _ in range(10):
            time.sleep(seconds / 10)
            samples.append(taken() - before)
        running = _running(port)
        for connection in connections:
            connection.close()
        since = time.monotonic()
        while _running(port) and time.monotonic() - since < _PATIENCE:
            time.sleep(0.1)
        left = _running(port)
    print(
        f"{kind:7} {readers} clients that read nothing: {running} calls under way; {samples[4]:.0f} MiB after "
        f"{seconds / 2:.0f} s, {samples[-1]:.0f} MiB after {seconds} s, {max(samples) * 1024 / readers:.0f} KiB each "
        f"at most; {left} calls left when they have gone",
        flush=True,
    )


def main() -> None:
    """Run the measurements that the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.silent_readers", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--readers", type=int, default=1000, help="clients at once (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=40, help="how long they stay (default: %(default)s)")
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(_app(), buffer=_BUFFER)
        return
    raise_file_limit()
    for kind in arguments.kinds or KINDS:
        measure(kind, arguments.readers, arguments.seconds, min(os.sched_getaffinity(0)))


if __name__ == "__main__":
    main()
