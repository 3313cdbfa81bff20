"""`WebObserver`: the observer of a system as a page in the browser."""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterable
from contextvars import Context
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from miniagents.agents import InteractionAccount
from miniagents.errors import InvalidOptionError
from miniagents.ext.observer.actions import allowed_kinds
from miniagents.ext.observer.following import Following
from miniagents.ext.observer.guard import allows_names
from miniagents.ext.observer.listening import Server, address_of, listener
from miniagents.ext.observer.page_app import PageApp
from miniagents.ext.observer.recorder import DEFAULT_BUDGET, FlightRecorder
from miniagents.ext.observer.recording import DEFAULT_BYTES, Recorder
from miniagents.ext.observer.sessions import Sessions
from miniagents.ext.observer.texts import Level, Redact, Texts
from miniagents.log import log as _log
from miniagents.supervision.checking import check_count

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LAST_PORT = 65_535
_LEAST_RECORDED = 65_536


class WebObserver(Following):
    """An observer that shows a system in the browser: the tree, the interactions, the failures, live.

    It keeps a flight recorder from the start of the system on, so that the page has what went wrong before the first
    browser came. It prints its address with a token, which works once.

    Args:
        host: The address to listen at. The page has no TLS: leave it on loopback, or behind a proxy.
        port: The port, 0 for any.
        record: The file to record to: what the page would show, a frame a second, for its owner alone (0600). An older
            recording there is replaced. `miniagents replay` plays it. None for no file.
        record_texts: What of the texts goes into the recording, as `texts`. Without a word of yours these are the facts
            alone: no prompts, no replies, no texts of errors.
        record_bytes: The most bytes of the recording, 65,536 or more. When it is full, its older half goes.
        redact: Replaces what must not be seen. It is called with each text before it leaves the process.
        actions: Whether the page can restart, stop, cancel, resend and answer; or the kinds of actions that it can do:
            "restart", "stop", "cancel", "resend", "drop", "answer", "cancel_job".
        budget_bytes: The bytes that the recorder keeps at most, 0 or more. The oldest goes first.
        texts: What of the words of users, agents and models can be seen: "full", "redacted" (without what looks like
            a secret), or "facts" (types and lengths alone).
        opens: Whether a server of its own is started; False where the page is a part of an `agent_app`.

    Attributes:
        url: The address of the page, without a token; None until it listens.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        ```python
        from miniagents import MiniAgents, miniagent
        from miniagents.ext.observer import WebObserver

        @miniagent
        async def hello(ctx):
            ctx.reply("Hello!")

        async def main() -> None:
            print(await hello.inquire())

        MiniAgents(observers=[WebObserver()]).run(main())
        ```
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        record: str | Path | None = None,
        record_texts: Level = "facts",
        record_bytes: int = DEFAULT_BYTES,
        redact: Redact | None = None,
        actions: bool | Iterable[str] = True,
        budget_bytes: int = DEFAULT_BUDGET,
        texts: Level = "full",
        opens: bool = True,
    ) -> None:
        check_count("budget_bytes=", budget_bytes, 0)
        if not 0 <= port <= _LAST_PORT:
            raise InvalidOptionError(f"port= must be 0 to {_LAST_PORT}, not {port!r}")
        shown = Texts(texts, redact)
        super().__init__(FlightRecorder(budget_bytes), keeps_texts=texts != "facts")
        self.url: str | None = None
        self._host = host
        self._port = port
        check_count("record_bytes=", record_bytes, _LEAST_RECORDED)
        self.recorder_to_file: Recorder | None = None
        if record is not None:
            recorded = Texts(record_texts, redact)
            self.recorder_to_file = Recorder(
                Path(record), self, recorded, lambda: self.app.sections_of(recorded), record_bytes
            )
        self._opens = opens
        self._sessions = Sessions()
        self._allows_host: Callable[[str], bool] = allows_names((*LOOPBACK, host))
        self._kinds = allowed_kinds(actions)
        self.app = PageApp(self, shown, self._kinds, self._sessions, lambda name: self._allows_host(name))
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._listener: socket.socket | None = None
        self._sampling: asyncio.TimerHandle | None = None

    # The life of the system

    def system_started(self, system: Any) -> None:
        """Begin to follow a system that has this observer, and open the page."""
        self.begin(system)
        self._sample(system.loop)
        system.shared(self, lambda: self, _closed)
        if self.recorder_to_file is not None:
            self.recorder_to_file.begin(system.loop)
        if self._opens:
            self._open(system.loop)

    def _sample(self, loop: asyncio.AbstractEventLoop) -> None:
        self.sample()
        self._sampling = loop.call_later(1.0, self._sample, loop, context=Context())

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen, print the address, and serve. A port that is taken is told, and the system goes on without a page."""
        try:
            bound = self._listener = listener(self._host, self._port)
        except OSError as error:
            _log.error("observer.not_open", host=self._host, port=self._port, error=str(error))
            print(f"miniagents: no observer at {self._host}:{self._port}: {error}", file=sys.stderr, flush=True)
            return
        self.url = address_of(self._host, bound)
        print(f"miniagents: see the agents at {self.new_link()}", file=sys.stderr, flush=True)
        server = self._server = Server(self.app)
        self._serving = loop.create_task(self._serve(server, bound), context=Context())

    async def _serve(self, server: Server, bound: socket.socket) -> None:
        try:
            await server.serve(sockets=[bound])
        except Exception as error:
            _log.error("observer.failed_to_serve", error=repr(error))

    def new_link(self) -> str:
        """Return an address with a token, with which one browser can get in, once.

        Raises:
            InvalidOptionError: The page has no server of its own, or does not listen yet.
        """
        if self.url is None:
            raise InvalidOptionError("the observer has no address: it listens once its system has started")
        return f"{self.url}?token={self.new_token()}"

    async def aclose(self) -> None:
        """Close the page, and follow no more. The recorder keeps what it has."""
        if self.recorder_to_file is not None:
            await self.recorder_to_file.aclose()
        self.end()
        if self._sampling is not None:
            self._sampling.cancel()
            self._sampling = None
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await asyncio.wait({self._serving}, timeout=3.0)
            self._serving.cancel()
        if self._listener is not None:
            self._listener.close()
        self.url = self._server = self._serving = self._listener = None

    def interaction_over(self, account: InteractionAccount) -> None:
        """A call is over. One from outside is recorded."""
        super().interaction_over(account)
        if self.recorder_to_file is not None and account.above is None:
            self.recorder_to_file.over(account.id)

    # Inside of another app

    def mounted(self, prefix: str, allows_host: Callable[[str], bool]) -> "Mounted":
        """Return the page as a part of another app.

        Args:
            prefix: The path of the page in that app, without a slash at its end.
            allows_host: Says whether a `Host` header has a name of that app.
        """
        self._allows_host = allows_host
        return Mounted(self, prefix)

    def new_token(self) -> str:
        """Return a token with which one browser can get in, once: `?token=`, behind the address of the page."""
        return self._sessions.new_token()


class Mounted:
    """The page as a part of another app: an ASGI app for its path and all below.

    Args:
        observer: The observer.
        prefix: The path, without a slash at its end.
    """

    def __init__(self, observer: WebObserver, prefix: str) -> None:
        self.observer = observer
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. The addresses in the page are relative, so that it works behind any prefix: the address of
        the page must end with a slash, and one without is redirected."""
        root = scope.get("root_path", "") + self.prefix
        is_page = scope["path"].rstrip("/") == root
        raw = scope.get("raw_path") or scope["path"].encode()
        if is_page and scope["type"] == "http" and not raw.endswith(b"/"):
            query = scope.get("query_string", b"")
            where = f"{self.prefix.rsplit('/', 1)[-1]}/".encode() + (b"?" + query if query else b"")
            await send({"type": "http.response.start", "status": 307, "headers": [(b"location", where)]})
            await send({"type": "http.response.body", "body": b""})
            return
        inner = {**scope, "root_path": root, "path": f"{root}/" if is_page else scope["path"]}
        await self.observer.app(inner, receive, send)


async def _closed(observer: WebObserver) -> None:
    await observer.aclose()
