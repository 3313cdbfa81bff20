"""The memory of a live stream of chat completions: `python -m benchmarks.held_streams`.

An app is called as a server calls it, without sockets: many requests at once, each of which gets its first token, and
the next one never. The app is that of `benchmarks.serving`: a service of agents, or the same endpoint written by hand.
Reported is the growth of RSS for each stream. Each app has a process of its own.
"""

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.serving import KINDS, TOKEN, agents_app, app_by_hand

_WARM = 50


class HeldStreams:
    """Requests that are being answered.

    Args:
        app: The ASGI app.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._tasks: list[asyncio.Task[Any]] = []
        self._firsts = 0
        self._all_have_begun = asyncio.Event()

    async def add(self, count: int) -> None:
        """Make a number of requests, and wait until each of them has its first token."""
        self._all_have_begun.clear()
        self._tasks += [asyncio.create_task(self._request()) for _ in range(count)]
        async with asyncio.timeout(60):
            await self._all_have_begun.wait()

    async def end(self) -> None:
        """Cut all streams off."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _request(self) -> None:
        asked = {"model": "streamer", "stream": True, "messages": [{"role": "user", "content": "2 3600"}]}
        body: list[dict[str, Any]] = [{"type": "http.request", "body": json.dumps(asked).encode(), "more_body": False}]

        async def receive() -> dict[str, Any]:
            if body:
                return body.pop()
            await asyncio.get_running_loop().create_future()
            raise RuntimeError("the client never leaves")

        async def send(message: dict[str, Any]) -> None:
            if b'"token ' in message.get("body", b""):
                self._firsts += 1
                if self._firsts == len(self._tasks):
                    self._all_have_begun.set()

        await self._app(_scope(), receive, send)


def _scope() -> dict[str, Any]:
    headers = {"host": "127.0.0.1", "authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


async def measure(kind: str, count: int) -> float:
    """Return the bytes of each of `count` live streams of an app."""
    app = agents_app() if kind == "agents" else app_by_hand()
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    started, ended = asyncio.Event(), asyncio.Event()

    async def heard(message: dict[str, Any]) -> None:
        (ended if "shutdown" in message["type"] else started).set()

    lifespan = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, events.get, heard))
    events.put_nowait({"type": "lifespan.startup"})
    await started.wait()
    streams = HeldStreams(app)
    await streams.add(_WARM)
    gc.collect()
    before = _rss()
    await streams.add(count)
    gc.collect()
    grown = _rss() - before
    await streams.end()
    events.put_nowait({"type": "lifespan.shutdown"})
    await ended.wait()
    await lifespan
    return grown / count


def _rss() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Measure both apps in processes of their own, or one of them in this process."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.held_streams", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--streams", type=int, default=2000, help="live streams (default: %(default)s)")
    parser.add_argument("--one", choices=KINDS, help="measure this app, and print the bytes as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps({"bytes": asyncio.run(measure(arguments.one, arguments.streams))}))
        return
    for kind in KINDS:
        command = [sys.executable, "-m", "benchmarks.held_streams", "--streams", str(arguments.streams), "--one", kind]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(f"{kind}: {json.loads(ran.stdout)['bytes']:,.0f} bytes a live stream")


if __name__ == "__main__":
    main()
