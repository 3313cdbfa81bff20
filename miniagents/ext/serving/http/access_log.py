"""The access log: one log event for each request, with the id that the answer has."""

import asyncio
from collections.abc import Awaitable
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from miniagents.ext.serving.http.request_ids import STARTS
from miniagents.log import log as _log

_STARTS = STARTS | {"websocket.close"}
"""The messages that decide about the status."""

_STATUSES = {"websocket.accept": 101, "websocket.close": 403}
"""The statuses of the handshake of a WebSocket. A server answers 403 where the app closes instead of accepting."""


class AccessLog:
    """An app that logs each request of another app (`service.request`), after the last byte of the answer.

    The event has the method, the path, the status, the request id, the seconds, and the address of the client. The path
    is percent-encoded, and the query is left out, since it may hold secrets. The request id is the `X-Request-ID` of
    the answer, None if there is none. The status is 500 if the app has raised an exception instead of an answer, None
    if it was cancelled or has not answered.

    Args:
        app: The app that answers.

    Example:
        >>> import structlog.testing
        >>> async def app(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 204, "headers": []})
        >>> async def send(message):
        ...     pass
        >>> async def logged():
        ...     with structlog.testing.capture_logs() as events:
        ...         await AccessLog(app)({"type": "http", "method": "GET", "path": "/"}, None, send)
        ...     return events[0]["event"], events[0]["status"]
        >>> await logged()
        ('service.request', 204)
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and log it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        time = asyncio.get_running_loop().time
        began = time()
        start: Message | None = None
        has_raised = False

        def send_and_note(message: Message) -> Awaitable[None]:
            nonlocal start
            if start is None and message["type"] in _STARTS:
                start = message
            return send(message)  # not a coroutine of its own, since each event of a stream takes this way

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            has_raised = True
            raise
        finally:
            status = _status(start) if start is not None else 500 if has_raised else None
            client = scope.get("client")
            _log.info(
                "service.request",
                method=scope.get("method", "WEBSOCKET"),
                path=quote(scope["path"]),
                status=status,
                request_id=Headers(raw=start.get("headers", [])).get("x-request-id") if start is not None else None,
                seconds=round(time() - began, 3),
                client=f"{client[0]}:{client[1]}" if client else None,
            )


def _status(start: Message) -> int:
    status: int = _STATUSES.get(start["type"]) or start["status"]
    return status
