"""`McpEndpoint`: the protocol over streamable HTTP, as an endpoint of a service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import check_structure, read_body, replayed
from miniagents.ext.serving.mcp.tool_server import Context, tool_server
from miniagents.ext.serving.runs import Run
from miniagents.ext.serving.served_agent import Entry
from miniagents.ext.serving.service import Endpoint, Service
from miniagents.messages import Message as AgentMessage


class McpEndpoint:
    """The agents of a service as tools over streamable HTTP.

    Tokens, limits and draining are those of the service.

    Args:
        service: The service.
        stateless: Whether clients of the era before 2026-07-28 get no session.

    Raises:
        InvalidOptionError: Two agents are tools of the same name.
    """

    def __init__(self, service: Service, *, stateless: bool = False) -> None:
        self._service = service
        self._stateless = stateless
        self._server = tool_server(service.entries.values(), self._begin, service.problem)
        self._manager: StreamableHTTPSessionManager | None = None

    def routes(self, path: str) -> list[BaseRoute]:
        """Return the routes of the endpoint.

        Args:
            path: The path, "/mcp".
        """
        service = self._service
        # A stream of notifications, which a client holds open by GET, is no work that a stop would wait for.
        listening = Endpoint(service, self._answer, keys=service.keys)
        calling = Endpoint(service, self._answer_call, keys=service.keys, is_counted=True)
        return [Route(path, calling, methods=["POST"]), Route(path, listening, methods=["GET", "DELETE"])]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve sessions while the block runs."""
        self._manager = StreamableHTTPSessionManager(
            self._server, stateless=self._stateless, max_request_body_size=self._service.limits.body
        )
        try:
            async with self._manager.run():
                yield
        finally:
            self._manager = None

    async def _answer(self, request: Request, key: str) -> ASGIApp:
        if self._manager is None:
            raise Problem(503, "The agents are not running.", code="unavailable", retry_after=1.0)
        # A session belongs to the key that has opened it: the SDK compares this user.
        request.scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=key, scopes=[]))
        return self._manager.handle_request

    async def _answer_call(self, request: Request, key: str) -> ASGIApp:
        handle = await self._answer(request, key)
        limits = self._service.limits
        body = await read_body(request, limits)
        check_structure(body, limits)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await handle(scope, replayed(body, receive), send)

        return answer

    async def _begin(
        self, context: Context, entry: Entry, messages: tuple[AgentMessage, ...], arguments: dict[str, Any]
    ) -> Run:
        request = context.request
        assert isinstance(request, Request)  # each message came over HTTP
        key = request.scope["user"].access_token.client_id
        return await self._service.begin(request, entry, key, messages, arguments)
