"""Origins: which web pages may use a service from somebody's browser."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from miniagents.ext.serving.problems import Problem


class OriginCheck:
    """Refuses what a web page of another origin sends, over HTTP and WebSocket alike.

    Browsers say of which origin a page is, and a page cannot change that. Clients that are no browsers say nothing.

    Args:
        app: What is behind it.
        allowed: Origins, "https://chat.example.com", besides the service's own; "*" for all.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(origin.lower().rstrip("/") for origin in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand it on, or answer with a 403."""
        if scope["type"] in ("http", "websocket") and not self._passes(Headers(scope=scope)):
            problem = Problem(403, "Pages of this origin may not use the service.", code="origin_not_allowed")
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _passes(self, headers: Headers) -> bool:
        origins = headers.getlist("origin")
        if not origins or "*" in self._allowed:
            return True
        if len(origins) > 1:
            return False
        origin = origins[0].lower().rstrip("/")
        if origin in self._allowed:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and parts.netloc == headers.get("host", "").lower() != ""
