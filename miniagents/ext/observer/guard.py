"""`Guard`: what every request to the observer must pass, over HTTP and WebSocket, before any route is looked up."""

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from miniagents.ext.observer.sessions import Sessions, cookie_name, cookie_of

SAFE = ("GET", "HEAD")
_DENIED = (
    "This is the observer of MiniAgents. Open the link that the program has printed. It works once; the page makes "
    "another one for another browser.\n"
)
_ENTERED = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=./"><title>MiniAgents</title>'
)
"""The answer to a token. The browser goes on by itself, so that the page is a navigation from the same site, for which
the cookie is sent, and takes the place of the address with the token in the history."""


def allows_names(names: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that says whether a `Host` header has one of some names, with any port.

    Args:
        names: The names and addresses.
    """
    known = frozenset(name.lower().strip("[]") for name in names)

    def allows(host: str) -> bool:
        try:
            return (urlsplit(f"//{host}").hostname or "") in known
        except ValueError:
            return False

    return allows


class Guard:
    """Refuses requests without a session, from pages of other origins, and with names that the server does not have.

    Args:
        app: The app behind it.
        sessions: The sessions.
        allows_host: Says whether a `Host` header has a name of the server.
        policy: The Content-Security-Policy of all answers.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, allows_host: Callable[[str], bool], policy: str) -> None:
        self._app = app
        self._sessions = sessions
        self._allows_host = allows_host
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, self._sending(scope, send))
        else:
            await self._app(scope, receive, self._sending(scope, send))

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that goes no further; None for one that may."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._allows_host(hosts[0]):
            return PlainTextResponse("The observer may not be called by this name.\n", 400)
        if not _is_same_origin(scope, hosts[0], origins):
            return PlainTextResponse("Pages of other origins may not use the observer.\n", 403)
        name = cookie_name((scope.get("server") or ("", 0))[1] or 0)
        token = _token_of(scope)
        if token is not None:
            return self._entered(scope, name, token)
        if not self._sessions.has(cookie_of(scope["headers"], name)):
            return PlainTextResponse(_DENIED, 401)
        scope["observer.session"] = cookie_of(scope["headers"], name)
        return None

    def _entered(self, scope: Scope, name: str, token: str) -> Response:
        cookie = self._sessions.swap(token)
        if cookie is None:
            if self._sessions.has(cookie_of(scope["headers"], name)):
                return HTMLResponse(_ENTERED)  # the same link once more, in a browser that is in
            return PlainTextResponse(_DENIED, 401)
        response = HTMLResponse(_ENTERED)
        is_secure = scope.get("scheme") in ("https", "wss")
        # Without a path, since the browser knows better where the page is: a proxy may have taken a prefix away.
        response.set_cookie(name, cookie, path=None, httponly=True, samesite="strict", secure=is_secure)
        return response

    def _sending(self, scope: Scope, send: Send) -> Callable[[Message], Awaitable[None]]:
        async def sending(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = self._policy
                headers["referrer-policy"] = "no-referrer"
                headers["x-content-type-options"] = "nosniff"
                headers["x-frame-options"] = "DENY"
                headers["cross-origin-resource-policy"] = "same-origin"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cache-control"] = "no-store"
            await send(message)

        return sending


def _is_same_origin(scope: Scope, host: str, origins: list[str]) -> bool:
    """Return True if a request comes from a page of the server itself, or, where it changes nothing, from no page."""
    if not origins:
        return scope["type"] == "http" and scope["method"] in SAFE
    if len(origins) > 1:
        return False
    try:
        parts = urlsplit(origins[0].lower())
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc == host.lower()


def _token_of(scope: Scope) -> str | None:
    """Return the token in the address of the page; None if there is none."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return query["token"][0] if "token" in query else None
