"""A service of agents, compared with the same endpoint written by hand: `python -m benchmarks.serving`.

1,000 clients stream chat completions at once, from a service of `agent_app` and from a bare Starlette app that sends
the same events without any agents: first as fast as the server can, for the throughput; then with pauses between the
tokens, as models have them, so that the time to the first token is not that of a queue. Each server is a process of its
own on the first core, started anew for each round, with uvicorn and uvloop; the clients are one process on the second
core. Rounds are interleaved: A B A B. Every client must get its whole stream. Then the service answers 100,000
requests, and its memory is read before and after.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil

from miniagents.actors.collecting import Collecting, collecting

TOKEN = "a-token"
KINDS = ("agents", "by hand")
_TEXT = "token "
_CONTENT = b'"content": "token "', b'"content":"token "'
_ROUND = 300.0
"""Seconds after which a round that does not end is given up."""


# The servers


def agents_app() -> Any:
    """Return the service of agents."""
    from miniagents import InteractionContext, TextMessage, TextToken, miniagent
    from miniagents.ext.serving import Limits, agent_app

    @miniagent
    async def streamer(ctx: InteractionContext) -> None:
        count, pause = str(await ctx.message_promises).split()

        async def tokens(_: dict[str, Any]) -> Any:
            for number in range(int(count)):
                await asyncio.sleep(float(pause) if number else 0)
                yield TextToken(_TEXT)

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    return agent_app(streamer, auth=TOKEN, admin_auth=None, limits=Limits(concurrent=None))


def app_by_hand() -> Any:
    """Return the same endpoint written by hand."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def complete(request: Request) -> Any:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return PlainTextResponse("no", 401)
        wanted = await request.json()
        count, pause = wanted["messages"][-1]["content"].split()
        common = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": "streamer",
        }

        def chunk(delta: dict[str, str], reason: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
            return f"data: {json.dumps({**common, 'choices': [choice]})}\n\n"

        async def events() -> Any:
            yield chunk({"role": "assistant", "content": ""})
            for number in range(int(count)):
                await asyncio.sleep(float(pause) if number else 0)
                yield chunk({"content": _TEXT})
            yield chunk({}, "stop")
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])


def serve(app: Any, *, gc: Collecting | None = None, buffer: int | None = None) -> None:
    """Serve until SIGTERM, on a free port, and print the port.

    Args:
        app: The ASGI app.
        gc: The setting of the garbage collector.
        buffer: The send buffer of each socket, in bytes; None for the default of the system.
    """
    import uvicorn

    raise_file_limit()
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    if buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(
        app, loop="uvloop", log_level="error", access_log=False, backlog=2048, timeout_keep_alive=120
    )

    class Server(uvicorn.Server):
        async def serve(self, sockets: Any = None) -> None:
            with collecting(gc):
                await super().serve(sockets)

    Server(config).run(sockets=[listener])


def raise_file_limit() -> None:
    """Raise the limit of open files as far as allowed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def divide_cores() -> tuple[int, int]:
    """Allow many clients, and pin this process to the last core.

    Returns:
        The core for the server, and that of this process.
    """
    raise_file_limit()
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {available[-1]})
    return available[0], available[-1]


@contextmanager
def server(
    kind: str, core: int, module: str = "benchmarks.serving", *arguments: str
) -> Iterator[tuple[int, psutil.Process]]:
    """Start a server in a process of its own; return its port and the process."""
    command = [sys.executable, "-m", module, "--serve", kind, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            os.sched_setaffinity(process.pid, {core})
            assert process.stdout is not None
            yield int(process.stdout.readline()), psutil.Process(process.pid)
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            process.kill()


# The clients


@dataclass
class Load:
    """The measurements of the clients.

    Attributes:
        first: The seconds to the first token, for each stream.
        broken: The number of incomplete streams.
        seconds: The duration of all streams.
    """

    first: list[float] = field(default_factory=list)
    broken: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """The streams per second."""
        return len(self.first) / self.seconds

    @property
    def p99(self) -> float:
        """The 99th percentile of the time to the first token, in seconds."""
        return statistics.quantiles(self.first, n=100)[98]


class Client(asyncio.Protocol):
    """One connection, which requests one stream after the other with as little work as possible."""

    def __init__(self, request: bytes, tokens: int, load: Load) -> None:
        self._request = request
        self._tokens = tokens
        self._load = load
        self._body = bytearray()
        self._began = self._first = 0.0
        self.left = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, times: int) -> "asyncio.Future[None]":
        """Make a number of requests, one after the other."""
        self.left, self.done = times, asyncio.get_running_loop().create_future()
        self._next()
        return self.done

    def _next(self) -> None:
        self._body.clear()
        self._first, self._began = 0.0, time.perf_counter()
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._body += data
        if not self._first and any(one in self._body for one in _CONTENT):
            self._first = time.perf_counter()
        if self._body.endswith(b"\r\n0\r\n\r\n"):
            self._ended()

    def _ended(self) -> None:
        body = bytes(self._body)
        found = max(body.count(one) for one in _CONTENT)
        if found == self._tokens and b"data: [DONE]" in body and body.startswith(b"HTTP/1.1 200"):
            self._load.first.append(self._first - self._began)
        else:
            self._load.broken += 1
        self.left -= 1
        if self.left:
            self._next()
        else:
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._load.broken += self.left
            self.done.set_result(None)


async def load_on(
    port: int,
    *,
    clients: int,
    warm: int,
    times: int,
    tokens: int,
    pause: float = 0.0,
    during: Any = None,
    client: "type[Client] | None" = None,
) -> Load:
    """Let many clients request streams at once.

    Args:
        port: The port of the server.
        clients: The number of connections.
        warm: The number of requests of each client before the measurement.
        times: The number of measured requests of each client.
        tokens: The number of tokens of each stream.
        pause: Seconds between two tokens. With a pause, clients begin one after the other, within the length of a
            stream.
        during: Called between the two.
        client: The class of the clients; None for `Client`.
    """
    kind = client if client is not None else Client
    asked = {"model": "streamer", "stream": True, "messages": [{"role": "user", "content": f"{tokens} {pause}"}]}
    body = json.dumps(asked).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {TOKEN}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    load, loop = Load(), asyncio.get_running_loop()
    async with asyncio.timeout(_ROUND):
        made = []
        for _ in range(clients):
            made.append(
                (await loop.create_connection(lambda: kind(head.encode() + body, tokens, load), "127.0.0.1", port))[1]
            )
        await asyncio.gather(*(connection.ask(warm) for connection in made))
        if load.broken:
            raise RuntimeError(f"{load.broken} streams were broken before anything was measured")
        load.first.clear()
        if during is not None:
            during()
        began = time.perf_counter()
        asked_for = []
        for connection in made:
            asked_for.append(connection.ask(times))
            if pause:
                await asyncio.sleep(pause * tokens / clients)
        await asyncio.gather(*asked_for)
        load.seconds = time.perf_counter() - began
    for connection in made:
        connection.transport.close()
    return load


def measure(port: int, **how: Any) -> Load:
    """Run the clients of `load_on` on a loop of their own."""
    import uvloop

    return uvloop.run(load_on(port, **how))


# The measurements


def compare(clients: int, times: int, tokens: int, pause: float, rounds: int, cores: tuple[int, int]) -> None:
    """Measure both servers, interleaved."""
    loads: dict[str, list[Load]] = {kind: [] for kind in KINDS}
    print(f"{clients} clients at once, {times} streams each, {tokens} tokens a stream, {pause} s between them")
    for number in range(1, rounds + 1):
        for kind in KINDS:
            with server(kind, cores[0]) as (port, _):
                load = measure(port, clients=clients, warm=1, times=times, tokens=tokens, pause=pause)
            loads[kind].append(load)
            print(
                f"round {number}, {kind:8} {load.rate:8.0f} streams/s   first token p50 "
                f"{statistics.median(load.first) * 1000:7.1f} ms, p99 {load.p99 * 1000:7.1f} ms   "
                f"broken {load.broken} of {clients * times}",
                flush=True,
            )
    rate = {kind: statistics.median(load.rate for load in loads[kind]) for kind in KINDS}
    p99 = {kind: statistics.median(load.p99 for load in loads[kind]) for kind in KINDS}
    print(f"throughput, agents to by hand:          {rate['agents'] / rate['by hand']:.2f}")
    print(f"p99 of the first token, by hand to agents: {p99['by hand'] / p99['agents']:.2f}")


def memory(requests: int, clients: int, tokens: int, cores: tuple[int, int]) -> None:
    """Measure the memory of a service after many requests."""
    warm = max(requests // 10 // clients, 1)
    with server("agents", cores[0]) as (port, process):
        before: list[float] = []
        load = measure(
            port,
            clients=clients,
            warm=warm,
            times=requests // clients,
            tokens=tokens,
            during=lambda: before.append(process.memory_info().rss / 2**20),
        )
        after = process.memory_info().rss / 2**20
    print(
        f"memory: {before[0]:.1f} MiB after {warm * clients} requests, {after:.1f} MiB after {len(load.first)} more "
        f"({load.rate:.0f}/s, broken {load.broken})"
    )


def main() -> None:
    """Run the measurements that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--clients", type=int, default=1000, help="clients at once (default: %(default)s)")
    parser.add_argument("--times", type=int, default=5, help="streams of each (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=20, help="tokens of each stream (default: %(default)s)")
    parser.add_argument("--pause", type=float, default=0.4, help="seconds between tokens of a calm load")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of each server (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=100_000, help="requests for the memory; 0 for none")
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(agents_app() if arguments.serve == "agents" else app_by_hand())
        return
    cores = divide_cores()
    if arguments.rounds:
        for times, pause in ((arguments.times, 0.0), (2, arguments.pause)):
            compare(arguments.clients, times, arguments.tokens, pause, arguments.rounds, cores)
    if arguments.requests:
        memory(arguments.requests, 100, 5, cores)


if __name__ == "__main__":
    main()
