"""The transport of a server at a URL, over the SDK's client for streamable HTTP.

The SDK gives up a whole connection when one request fails on its way, and says nothing of the status. Here such a
failure is the error of that one request, with its cause.
"""

import asyncio
import inspect
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, ErrorData

from miniagents.ext.mcp.signing_in import SideBySide
from miniagents.ext.mcp.stdio import Streams
from miniagents.ext.mcp.texts import shortened
from miniagents.messages import error_text

Headers: TypeAlias = Mapping[str, str]

_TIMEOUT = httpx2.Timeout(30.0, read=None)  # the limits of a call end it, not the silence of its response
_SHOWN = 500
"""The most bytes of an error's body that are read."""


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """The failure of an HTTP request.

    Attributes:
        was_sent: False if the request provably never left.
        was_answered: Whether the server has answered, so that the outcome is known.
        has_no_session: Whether the answer is that the server does not know the session.
    """

    was_sent: bool
    was_answered: bool
    has_no_session: bool = False


class HttpFailures:
    """The failures of the requests of one connection, told by the SDK's errors."""

    def __init__(self) -> None:
        self._key = secrets.token_hex(8)  # no server can make an error that is taken for one of ours

    def response(self, request: httpx2.Request, failure: HttpFailure, code: int, text: str) -> httpx2.Response:
        """Return the response that makes the SDK raise an `MCPError` for one request."""
        data = {self._key: [failure.was_sent, failure.was_answered, failure.has_no_session]}
        error = {"code": code, "message": text, "data": data}
        return httpx2.Response(502, json={"jsonrpc": "2.0", "id": None, "error": error}, request=request)

    def of(self, error: ErrorData) -> HttpFailure | None:
        """Return the failure behind an error; None if the error is the server's own."""
        data = error.data
        return HttpFailure(*data[self._key]) if isinstance(data, dict) and self._key in data else None


@asynccontextmanager
async def http_transport(
    url: str,
    *,
    headers: Headers | Callable[[], Headers | Awaitable[Headers]] | None,
    auth: httpx2.Auth | None,
    max_bytes: int,
    failures: HttpFailures,
    on_end: Callable[[str], None],
) -> AsyncGenerator[Streams, None]:
    """Connect to a server at a URL.

    Args:
        url: The address of the server.
        headers: Headers of each request, or a function, async or not, that returns them before each request.
        auth: The authentication of the requests, or None.
        max_bytes: The longest JSON body or event that is taken.
        failures: Tells the failures of HTTP from errors of the server.
        on_end: Called with the reason when the connection ends by itself.

    Yields:
        The streams of the messages that come and go.
    """
    client = _Client(
        headers if callable(headers) else None,
        failures,
        max_bytes,
        headers=dict(headers) if headers is not None and not callable(headers) else None,
        auth=SideBySide(auth) if isinstance(auth, OAuthClientProvider) else auth,
        timeout=_TIMEOUT,
    )
    async with client, streamable_http_client(url, http_client=client, max_sse_event_size=max_bytes) as streams:
        received, sent = streams
        yield _Watched(received, on_end), sent


class _Client(httpx2.AsyncClient):
    def __init__(
        self,
        given_headers: Callable[[], Headers | Awaitable[Headers]] | None,
        failures: HttpFailures,
        max_bytes: int,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._given_headers = given_headers
        self._failures = failures
        self._max_bytes = max_bytes

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request. A failure of a POST is returned as a JSON-RPC error instead of being raised."""
        try:
            if self._given_headers is not None:
                headers = self._given_headers()
                request.headers.update(await headers if inspect.isawaitable(headers) else headers)
            response = await super().send(request, **options)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            return self._failed(request, HttpFailure(was_sent=False, was_answered=False), error_text(error), error)
        except httpx2.TransportError as error:
            return self._failed(request, HttpFailure(was_sent=True, was_answered=False), error_text(error), error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the user's headers or auth
            return self._failed(request, HttpFailure(was_sent=False, was_answered=False), error_text(error), error)
        if request.method != "POST":
            return response
        is_json = response.headers.get("content-type", "").lower().startswith("application/json")
        has_no_session = response.status_code == 404 and MCP_SESSION_ID in request.headers
        if has_no_session or response.status_code == 401 or (response.status_code >= 400 and not is_json):
            body = await _beginning(response)
            text = f"HTTP {response.status_code} {response.reason_phrase}{f': {body}' if body else ''}"
            failure = HttpFailure(was_sent=True, was_answered=True, has_no_session=has_no_session)
            return self._failed(request, failure, text, None)
        if is_json:
            response.stream = _Bounded(response.stream, self._max_bytes)
        return response

    def _failed(
        self, request: httpx2.Request, failure: HttpFailure, text: str, error: Exception | None
    ) -> httpx2.Response:
        if request.method != "POST" and error is not None:
            raise error
        code = INTERNAL_ERROR if failure.was_answered else CONNECTION_CLOSED
        return self._failures.response(request, failure, code, text)


class _Bounded(httpx2.AsyncByteStream):
    """The body of a response, which fails when it is longer than the bound."""

    def __init__(self, stream: Any, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > self._max_bytes:
                raise httpx2.StreamError(f"the answer has more than max_bytes={self._max_bytes} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Watched:
    """The stream of received messages, which tells its end."""

    def __init__(self, stream: Any, on_end: Callable[[str], None]) -> None:
        self._stream = stream
        self._on_end = on_end

    @property
    def last_context(self) -> Any:
        return self._stream.last_context

    async def receive(self) -> SessionMessage | Exception:
        message: SessionMessage | Exception = await self._stream.receive()
        return message

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> "_Watched":
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            message: SessionMessage | Exception = await anext(self._stream)
        except BaseException:
            self._on_end("the connection was closed")
            raise
        return message

    async def __aenter__(self) -> "_Watched":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stream.__aexit__(*error)


async def _beginning(response: httpx2.Response) -> str:
    """Return the first bytes of a body as text, and close the response."""
    body = b""
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= _SHOWN:
                break
    except httpx2.HTTPError:
        pass
    finally:
        await response.aclose()
    return shortened(body[:_SHOWN].decode(errors="replace").strip())
