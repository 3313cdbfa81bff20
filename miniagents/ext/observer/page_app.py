"""`PageApp`: the routes of the page, behind the guard."""

import base64
import hashlib
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from miniagents.agents.waiting import answers  # noqa: F401 - loaded now, and not while the agents work
from miniagents.ext.observer.actions import Actions, RefusedError
from miniagents.ext.observer.call_views import CallViews
from miniagents.ext.observer.connection import Connection, Look, Section, View
from miniagents.ext.observer.following import Following
from miniagents.ext.observer.guard import Guard
from miniagents.ext.observer.lists import Lists
from miniagents.ext.observer.searching import search
from miniagents.ext.observer.sessions import Sessions
from miniagents.ext.observer.texts import LEVELS, Texts
from miniagents.ext.observer.tree_view import TreeView

STATIC = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_LARGEST = 65_536
"""The most bytes of the body of an action."""
_RANGE = 8_192
"""The most characters of one range of a text."""


@cache
def files() -> dict[str, tuple[bytes, str]]:
    """Return the files of the page by their names, each with its type. They are read once, and no request reads the
    disk."""
    found = (path for path in STATIC.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(STATIC).as_posix(): (path.read_bytes(), _TYPES[path.suffix]) for path in sorted(found)}


def content_policy(page: str) -> str:
    """Return the Content-Security-Policy of the page: its own files, its own server, and the one script in it, the map
    of the modules, by its hash.

    Args:
        page: The HTML.
    """
    scripts = re.findall(r"<script[^>]*>([^<]+)</script>", page)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    inline = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src 'self' {inline}; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class PageApp(Starlette):
    """The ASGI app of one observer.

    Args:
        following: The observer.
        texts: The rule for texts.
        kinds: The kinds of actions that are allowed.
        sessions: The sessions.
        allows_host: Says whether a `Host` header has a name of the server.

    Attributes:
        boot: The id of this process, which changes with each start.
        connections: The number of pages that look.
    """

    def __init__(
        self,
        following: Following,
        texts: Texts,
        kinds: frozenset[str],
        sessions: Sessions,
        allows_host: Callable[[str], bool],
    ) -> None:
        self.boot = secrets.token_hex(8)
        self.connections = 0
        self._following = following
        self._texts = texts
        self._kinds = kinds
        self._sessions = sessions
        self._began = time.time()
        self._page = (STATIC / "index.html").read_text()
        self._actions: Actions | None = None
        super().__init__(
            routes=[
                Route("/", self._show, methods=["GET"]),
                WebSocketRoute("/live", self._live),
                Route("/search", self._search, methods=["GET"]),
                Route("/text", self._text, methods=["GET"]),
                Route("/actions", self._act, methods=["POST"]),
                Route("/links", self._link, methods=["POST"]),
                Route("/static/{name:path}", self._file, methods=["GET"]),
            ],
            middleware=[
                Middleware(Guard, sessions=sessions, allows_host=allows_host, policy=content_policy(self._page))
            ],
        )

    @property
    def _system(self) -> Any:
        return self._following.system

    async def _show(self, request: Request) -> Response:
        return HTMLResponse(self._page)

    async def _file(self, request: Request) -> Response:
        content = files().get(request.path_params["name"])
        if content is None:
            return Response("There is no such file.\n", 404, media_type="text/plain")
        return Response(content[0], media_type=content[1])

    async def _live(self, websocket: WebSocket) -> None:
        texts = self._texts
        level = websocket.query_params.get("texts")
        if level in LEVELS and LEVELS.index(level) < LEVELS.index(texts.level):
            texts = texts.lowered(level)
        self.connections += 1
        try:
            await Connection(websocket, self.sections_of(texts), self.hello(texts)).run()
        finally:
            self.connections -= 1

    def hello(self, texts: Texts) -> View:
        """Return what a page is told first.

        Args:
            texts: Its rule for texts.
        """
        return {
            "boot": self.boot,
            "pid": os.getpid(),
            "began": self._began,
            "now": time.time(),
            "system": self._system.name,
            "actions": sorted(self._kinds),
            "texts": texts.level,
        }

    def sections_of(self, texts: Texts | None = None) -> dict[str, Section]:
        """Return the sections that one page can look at.

        Args:
            texts: The rule for texts; None for that of the observer.
        """
        texts = texts or self._texts
        system, following = self._system, self._following
        tree, calls, lists = TreeView(system, texts), CallViews(following, texts), Lists(system, following, texts)

        def plain(view: Callable[[Look], View]) -> Callable[[Look], Awaitable[View]]:
            async def compute(look: Look) -> View:
                return view(look)

            return compute

        return {
            "summary": (0.4, plain(lambda _: lists.summary())),
            "samples": (1.0, plain(lists.samples)),
            "sky": (1.0, tree.sky),
            "tree": (0.2, tree.window),
            "actor": (0.2, lambda look: lists.actor(look, calls)),
            "calls": (0.4, calls.window),
            "call": (0.2, calls.waterfall),
            "happenings": (0.4, lists.happenings),
            "letters": (0.6, plain(lists.letters)),
            "allowances": (0.6, plain(lambda _: lists.allowances())),
            "waits": (1.0, lambda _: lists.waits()),
            "nodes": (1.0, plain(lambda _: lists.nodes())),
        }

    async def _search(self, request: Request) -> Response:
        wanted = request.query_params.get("for", "")[:200]
        if not wanted.strip():
            return _json({"error": "nothing to look for"}, 400)
        return _json(await search(self._system, self._following, self._texts, wanted))

    async def _text(self, request: Request) -> Response:
        """A range of a text of a call: `id`, `name` (input, output, stream) and `from`."""
        query = request.query_params
        id, start, name = query.get("id", ""), query.get("from", "0"), query.get("name")
        record = self._following.records.get(int(id)) if id.isdigit() else None
        if record is None or not start.isdigit():
            return _json({"error": "there is no such text any more"}, 404)
        models = [step for step in record.steps or () if step.kind == "model"]
        text = {"input": record.input, "output": record.output, "stream": models[-1].text if models else None}.get(
            name or ""
        )
        seen = self._texts.of(text)
        if seen is None:
            return _json({"error": "the text is not kept, or not shown"}, 404)
        begin = int(start)
        return _json({"text": seen[begin : begin + _RANGE], "from": begin, "size": len(seen)})

    async def _act(self, request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _json({"refused": "an action is JSON"}, 415)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LARGEST:
                return _json({"refused": "the action is too large"}, 413)
        try:
            asked = msgspec.json.decode(body)
        except msgspec.DecodeError:
            return _json({"refused": "the action is no JSON"}, 400)
        if self._actions is None:
            self._actions = Actions(self._system, self._following, self._kinds, self.boot)
        by = self._sessions.name_of(request.scope["observer.session"])
        try:
            return _json({"done": await self._actions.do(asked, by)})
        except RefusedError as refused:
            return _json({"refused": str(refused)}, 409)

    async def _link(self, request: Request) -> Response:
        """A token for another browser."""
        return _json({"token": self._sessions.new_token()})


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
