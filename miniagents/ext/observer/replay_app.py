"""`ReplayApp`: the page of a recording, and the server that shows it without the process that was recorded."""

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from miniagents.ext.observer.connection import Section, View
from miniagents.ext.observer.following import Following
from miniagents.ext.observer.guard import allows_names
from miniagents.ext.observer.listening import Server, address_of, listener
from miniagents.ext.observer.page_app import PageApp
from miniagents.ext.observer.recorder import FlightRecorder
from miniagents.ext.observer.recording_file import Recording
from miniagents.ext.observer.replaying import Replay, hello_of, search
from miniagents.ext.observer.sessions import Sessions
from miniagents.ext.observer.texts import Texts

_END_SECONDS = 3.0
"""Seconds that the server has to end."""


class ReplayApp(PageApp):
    """The page of a recording: the same one, with a time, and without actions.

    Args:
        recording: The recording.
        sessions: The sessions.
        allows_host: Says whether a `Host` header has a name of the server.
    """

    def __init__(self, recording: Recording, sessions: Sessions, allows_host: Callable[[str], bool]) -> None:
        super().__init__(Following(FlightRecorder(0)), Texts("full"), frozenset(), sessions, allows_host)
        self._recording = recording

    def hello(self, texts: Texts) -> View:
        """Return what a page is told first."""
        return hello_of(self._recording, self.boot)

    def sections_of(self, texts: Texts | None = None) -> dict[str, Section]:
        """Return the sections that one page can look at, each at a time of its own."""
        return Replay(self._recording).sections()

    async def _search(self, request: Request) -> Response:
        wanted = request.query_params.get("for", "")[:200]
        state = Replay(self._recording).state_at(self._recording.ends)
        return _json(search(state, wanted))

    async def _text(self, request: Request) -> Response:
        return _json({"error": "the recording has no more of this text"}, 404)

    async def _act(self, request: Request) -> Response:
        return _json({"refused": "this is a recording: nothing can be done in it"}, 409)


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _serve(server: Server, bound: socket.socket) -> None:
    """Serve until this is cancelled. The server itself is told to end, since only then does it let go of the socket."""
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await asyncio.wait({serving}, timeout=_END_SECONDS)
        serving.cancel()


async def replay(path: str | Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
    """Show a recording in the browser until this is cancelled. It prints its address with a token, which works once.

    Args:
        path: The file, as `WebObserver(record=)` has written it. The process that wrote it need not run any more.
        host: The address to listen at.
        port: The port, 0 for any.

    Raises:
        InvalidOptionError: The file is no recording, or has no frame yet.
        OSError: The file cannot be read, or the port is taken.

    Example:
        ```python
        import asyncio

        from miniagents.ext.observer import replay

        asyncio.run(replay("run.mar"))
        ```
    """
    recording = Recording(path)
    try:
        sessions = Sessions()
        app = ReplayApp(recording, sessions, allows_names(("localhost", "127.0.0.1", "::1", host)))
        bound = listener(host, port)
        try:
            link = f"{address_of(host, bound)}?token={sessions.new_token()}"
            print(f"miniagents: see the recording at {link}", file=sys.stderr, flush=True)
            await _serve(Server(app), bound)
        finally:
            bound.close()
    finally:
        recording.close()
