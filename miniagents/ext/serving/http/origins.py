"""Origins: the web pages that may use a service from a browser."""

from collections.abc import Awaitable, Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_headers import header, header_values

_OWN_HEADERS = ("Last-Event-ID", "X-Conversation", "X-Request-ID", "X-Request-Timeout", "traceparent", "tracestate")
_MCP_HEADERS = ("Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version", "Mcp-Session-Id")
_SDK_HEADERS = (
    "Authorization",
    "X-API-Key",
    "User-Agent",
    "Idempotency-Key",
    "OpenAI-Beta",
    "OpenAI-Organization",
    "OpenAI-Project",
    "Anthropic-Beta",
    "Anthropic-Dangerous-Direct-Browser-Access",
    "Anthropic-Organization-Id",
    "Anthropic-User-Profile-Id",
    "Anthropic-Version",
    "Anthropic-Worker-Id",
    "Anthropic-Workspace-Id",
    "X-Stainless-Arch",
    "X-Stainless-Async",
    "X-Stainless-Custom-Event-Handler",
    "X-Stainless-Custom-Poll-Interval",
    "X-Stainless-Helper",
    "X-Stainless-Helper-Method",
    "X-Stainless-Lang",
    "X-Stainless-OS",
    "X-Stainless-Package-Version",
    "X-Stainless-Poll-Helper",
    "X-Stainless-Raw-Response",
    "X-Stainless-Read-Timeout",
    "X-Stainless-Retry-Count",
    "X-Stainless-Runtime",
    "X-Stainless-Runtime-Version",
    "X-Stainless-Stream-Helper",
    "X-Stainless-Timeout",
)
"""The headers that the official SDKs of OpenAI and Anthropic send, for Python and JavaScript. None of them affects the
check of the origin, and the service reads only its own headers."""

ALLOWED_HEADERS = (*_OWN_HEADERS, *_MCP_HEADERS, *_SDK_HEADERS)
"""The headers that pages of allowed origins may send."""

EXPOSED_HEADERS = ("Mcp-Session-Id", "Request-Id", "Retry-After", "X-Request-ID", "X-Should-Retry")
"""The headers that these pages may read."""


class OriginCheck:
    """Refuses requests from web pages of other origins, over HTTP and WebSocket.

    Browsers send the origin of a page, and the page cannot change it. Clients that are not browsers send none.

    Args:
        app: The app behind the check.
        allowed: The allowed origins, "https://chat.example.com", besides the service's own; "*" for all.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(origin.lower().rstrip("/") for origin in allowed)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request on, or answer with a 403."""
        if scope["type"] in ("http", "websocket") and not self._passes(scope):
            problem = Problem(403, "Pages of this origin may not use the service.", code="origin_not_allowed")
            return problem.response()(scope, receive, send)
        return self._app(scope, receive, send)  # without a coroutine of its own, through which each event would go

    def _passes(self, scope: Scope) -> bool:
        origins = header_values(scope, b"origin")
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
        return parts.scheme in ("http", "https") and parts.netloc == (header(scope, b"host") or "").lower() != ""
