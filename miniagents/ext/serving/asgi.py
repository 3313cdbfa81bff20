"""`AgentApp`: the ASGI app: routes, middleware, lifespan.

The module is longer than most: the public methods of the app have their docstrings here.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from miniagents.actors.collecting import Collecting, collecting
from miniagents.actors.observing.request_id import current_request_id
from miniagents.agents import MiniAgents
from miniagents.errors import InvalidOptionError, MissingDependencyError
from miniagents.ext.serving.anthropic.client import anthropic_body, body_for, refusal_for
from miniagents.ext.serving.anthropic.messages_api import AnthropicApi
from miniagents.ext.serving.anthropic.models import AnthropicModels
from miniagents.ext.serving.draining import Drain, check_grace
from miniagents.ext.serving.first_routes import FirstRoutes
from miniagents.ext.serving.front_ends.front_end import FrontEnd, FrontEndApi, protocols
from miniagents.ext.serving.http.auth import Keys
from miniagents.ext.serving.http.hosts import HostCheck, Hosts
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.origins import ALLOWED_HEADERS, EXPOSED_HEADERS, OriginCheck
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_ids import id_of, with_id
from miniagents.ext.serving.native.agents_api import AgentsApi
from miniagents.ext.serving.native.routes import handlers_of
from miniagents.ext.serving.native.websocket import AgentSocket
from miniagents.ext.serving.openai.chat import ChatApi
from miniagents.ext.serving.openai.conversation_items_api import ConversationItemsApi
from miniagents.ext.serving.openai.conversations_api import ConversationsApi
from miniagents.ext.serving.openai.references import References
from miniagents.ext.serving.openai.response_store import ResponseStore
from miniagents.ext.serving.openai.responses_api import ResponsesApi
from miniagents.ext.serving.operations.admin_api import Operations
from miniagents.ext.serving.operations.openapi import OpenApi
from miniagents.ext.serving.operations.waits_api import WaitsApi
from miniagents.ext.serving.service import AsBody, Endpoint, Handler, Service
from miniagents.ext.serving.tracking import P, T
from miniagents.ext.telemetry.prometheus import MetricsApp
from miniagents.promising import Promise

if TYPE_CHECKING:
    from miniagents.ext.observer.web_observer import Mounted
    from miniagents.ext.serving.a2a.endpoint import A2aEndpoint
    from miniagents.ext.serving.mcp.endpoint import McpEndpoint

PROBES = ("/healthz", "/readyz")
"""The paths that answer whether the service works."""

_METHODS = ("GET", "POST", "DELETE")
_FIRST = 3
"""The place of further calls of agents among the routes: after those that most clients use; see `FirstRoutes`."""


class AgentApp(Starlette):
    """An ASGI app that serves agents, made by `agent_app`.

    Attributes:
        system: The system that runs the agents.
        exception_handlers: The handlers of this package's errors, for routes of the application. They answer with the
            status and in the form of the service: `FastAPI(exception_handlers=agents.exception_handlers)`, or the same
            option of Starlette.
        hosts: The names by which clients may call the service.

    Example:
        >>> from starlette.testclient import TestClient
        >>> from miniagents.ext.serving import agent_app
        >>> @miniagent
        ... async def echo(ctx):
        ...     ctx.reply(f"You said: {await ctx.message_promises}")
        >>> app = agent_app(echo, auth="a-secret-token", admin_auth=None)
        >>> with TestClient(app, "http://localhost") as client:
        ...     print(app.system.is_running, client.get("/healthz").status_code)
        True 200
    """

    exception_handlers: dict[Any, Any]

    def __init__(
        self,
        service: Service,
        *,
        grace: float,
        on_start: Callable[[MiniAgents], Awaitable[Any]] | None,
        hosts: Hosts,
        allowed_origins: Iterable[str],
        responses: ResponseStore,
        metrics: MetricsApp | None,
        gc: Collecting | None = None,
        observer: "Mounted | None" = None,
    ) -> None:
        self.system = service.system
        self._service = service
        self._on_start = on_start
        self._drain = Drain(service, grace)
        self._agents = AgentsApi(service)
        self._references = References(responses, service.limits)
        self._responses = ResponsesApi(service, responses, self._references)
        self._metrics = metrics
        self._gc = gc
        self._mcp: McpEndpoint | None = None
        self._a2a: A2aEndpoint | None = None
        self._observer = observer
        self.hosts = hosts
        origins = tuple(allowed_origins)
        middleware = [
            Middleware(HostCheck, hosts=hosts, free=PROBES),
            Middleware(OriginCheck, allowed=origins),
        ]
        if origins:
            cors = Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=_METHODS,
                allow_headers=ALLOWED_HEADERS,
                expose_headers=EXPOSED_HEADERS,
            )
            middleware.append(cors)
        super().__init__(
            routes=self._all_routes(),
            middleware=middleware,
            exception_handlers=handlers_of(service),
            lifespan=self.lifespan,
        )
        self.router.redirect_slashes = False
        self._own_handlers = dict(self.exception_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. A slash at the end of its path is ignored: mounts of Litestar add one."""
        if scope["type"] not in ("http", "websocket"):
            await super().__call__(scope, receive, send)
            return
        path = scope.get("path", "")
        if len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}
        id = id_of(scope)
        token = current_request_id.set(id)
        try:
            await super().__call__(scope, receive, with_id(send, id))  # outermost: Starlette's own answers have it too
        finally:
            current_request_id.reset(token)

    def build_middleware_stack(self) -> ASGIApp:
        """Return the middleware of Starlette around the routes. Within this app, Starlette's own errors get our
        form."""
        others, middleware = self.exception_handlers, self.user_middleware
        self.exception_handlers = {HTTPException: _http_problem, **others}
        if others == self._own_handlers and not self.debug:
            first = Middleware(FirstRoutes, router=self.router, on_http_error=_http_problem)
            self.user_middleware = [*middleware, first]
        try:
            return super().build_middleware_stack()
        finally:
            self.exception_handlers, self.user_middleware = others, middleware

    @property
    def limits(self) -> Limits:
        """The limits of the service."""
        return self._service.limits

    @property
    def grace(self) -> float:
        """Seconds for the requests under way when the service stops."""
        return self._drain.grace

    @grace.setter
    def grace(self, seconds: float) -> None:
        check_grace(seconds)
        self._drain.grace = seconds

    @property
    def grace_left(self) -> float:
        """The rest of the grace in seconds; all of it while the service does not stop."""
        return self._drain.seconds_left

    def track(self, promise: P) -> P:
        """Make a call in a route of the application part of draining: a service that stops waits for the call, at most
        `grace` seconds, and then cuts it off.

        Args:
            promise: The promise of the replies, as `agent.inquire(...)` returns it.

        Returns:
            The same promise. It fails with `ServiceStoppingError` if it is cut off.

        Raises:
            ServiceStoppingError: The service is stopping, and this is the first call of its request. The call is
                cancelled.
            InvalidOptionError: The argument is not a promise.

        Example:
            ```
            @app.get("/advice")
            async def advice(about: str) -> str:
                return str(await agents.track(clerk.inquire(about)))
            ```
        """
        return self._service.tracking.track(promise)

    async def answer(self, request: Request, promise: Promise[T]) -> T:
        """Await a call in a route of the application, and cancel the call if the client goes away meanwhile. The call
        is tracked, too: see `track`.

        Nothing else may read the body of the request at the same time, and what has not been read of it is thrown
        away.

        Args:
            request: The request of the route.
            promise: The promise of the replies, as `agent.inquire(...)` or `agent.inquire(...).answer()` returns it.

        Returns:
            The result of the promise.

        Raises:
            HTTPException: The client has gone; a 499, which nobody reads.
            ServiceStoppingError: As in `track`.
            InvalidOptionError: The argument is not a promise.

        Example:
            ```
            @app.get("/advice")
            async def advice(request: Request, about: str) -> str:
                return str(await agents.answer(request, clerk.inquire(about)))
            ```
        """
        return await self._service.tracking.answer(request, promise)

    def serve_mcp(self, path: str = "/mcp", *, stateless: bool = False) -> None:
        """Serve the agents also as tools of the Model Context Protocol, with the tokens and limits of the service.

        Args:
            path: The path.
            stateless: Whether clients of the era before 2026-07-28 get no session; see `McpApp`.

        Raises:
            MissingDependencyError: The official SDK of the protocol is not installed.
            InvalidOptionError: The app serves the protocol already, or two agents are tools of the same name.
        """
        try:
            from miniagents.ext.serving.mcp.endpoint import McpEndpoint
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"agents as tools of MCP clients need {error.name}: pip install 'miniagents[mcp]'"
            ) from error
        if self._mcp is not None:
            raise InvalidOptionError("the app serves the Model Context Protocol already")
        self._mcp = McpEndpoint(self._service, stateless=stateless)
        self.router.routes.extend(self._mcp.routes(path))

    def serve_a2a(self, path: str = "/a2a", *, url: str | None = None) -> None:
        """Serve the agents also by the Agent2Agent protocol, each at its name below a path, behind its card.

        Args:
            path: The path.
            url: The address at which callers reach the service, for the cards; None for the address of each request.

        Raises:
            MissingDependencyError: The official SDK of the protocol is not installed.
            InvalidOptionError: The app serves the protocol already.
        """
        try:
            from miniagents.ext.serving.a2a.endpoint import A2aEndpoint
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"agents behind cards need {error.name}: pip install 'miniagents[a2a]'"
            ) from error
        if self._a2a is not None:
            raise InvalidOptionError("the app serves the Agent2Agent protocol already")
        self._a2a = A2aEndpoint(self._service, url)
        self.router.routes.extend(self._a2a.routes(path))

    def serve_front_ends(self, names: Iterable[FrontEnd]) -> None:
        """Speak protocols of chat front ends, too; see the option `front_ends` of `agent_app`.

        Args:
            names: The protocols.

        Raises:
            InvalidOptionError: A name is unknown.
            MissingDependencyError: The package of a protocol is not installed.
        """
        service = self._service
        for name, protocol in protocols(names).items():
            endpoint = Endpoint(service, FrontEndApi(service, protocol).call, keys=service.keys, is_counted=True)
            self.router.routes.insert(_FIRST, Route(f"/agents/{{name}}/{name}", endpoint, methods=["POST"]))

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Run the agents while the block runs. A server does this for the outermost app. Inside another app, pass it
        on: `FastAPI(lifespan=agents.lifespan)`, or `async with agents.lifespan(app):` in a lifespan of the application.

        Args:
            app: The outermost app, which is not used.

        Raises:
            RuntimeError: The lifespan runs already.
        """
        service, system = self._service, self.system
        if service.is_started:
            raise RuntimeError("the lifespan of this agent_app() runs already: hand it on once")
        is_own = not system.is_running
        if is_own:
            system.activate()
        service.started()
        self._drain.reset()
        try:
            if self._on_start is not None:
                await self._on_start(system)
            await service.turns.store.check()
            if self._observer is not None and self._observer.observer.system is None:
                self._observer.observer.system_started(system)  # the system ran before the app
            self._announce()
            async with self._mcp.running() if self._mcp is not None else nullcontext():
                with collecting(self._gc), self._drain.on_signals():
                    yield
                await self._drain.begin()
        finally:
            service.gate.is_draining = True
            self._agents.kept.clear()
            service.ended()
            if self._a2a is not None:
                await self._a2a.close()
            if is_own:
                await self._end(self._drain.seconds_left if sys.exc_info()[0] is None else 0.0)
            await service.turns.end()
            await service.parser.end()

    async def _end(self, grace: float) -> None:
        """End the system: the calls under way have the grace, and then all actors are stopped in supervised order. Code
        that swallows its cancellation gets no more time than that."""
        self.system.grace = min(self.system.grace, self.grace)
        try:
            async with asyncio.timeout(grace):
                await self.system.afinalize(leaves_waits=True)
        except TimeoutError:
            pass  # the tree has been stopped nevertheless

    def _announce(self) -> None:
        """Print the generated tokens, once."""
        for keys, what in ((self._service.keys, "token"), (self._service.admin_keys, "admin token")):
            token, keys.generated = keys.generated, None
            if token is not None:
                print(f"miniagents: the {what} of this service is {token}", file=sys.stderr, flush=True)
        if self._observer is not None:
            link = f"{self._observer.prefix}/?token={self._observer.observer.new_token()}"
            print(f"miniagents: see the agents of this service at {link}", file=sys.stderr, flush=True)

    def _all_routes(self) -> list[BaseRoute]:
        service, agents, responses = self._service, self._agents, self._responses
        chat, operations, waits = ChatApi(service), Operations(service), WaitsApi(service)
        conversations = ConversationsApi(service, self._references)
        items = ConversationItemsApi(service, self._references)

        def route(method: str, path: str, handler: Handler, keys: Keys | None, *, is_counted: bool = False) -> Route:
            return Route(path, Endpoint(service, handler, keys=keys, is_counted=is_counted), methods=[method])

        keys, admin = service.keys, service.admin_keys
        metrics = [route("GET", "/metrics", self._show_metrics, admin)] if self._metrics is not None else []
        return [
            # The calls of agents come first, since each route before that of a request is tried (benchmark `serving`).
            route("POST", "/v1/chat/completions", chat.complete, keys, is_counted=True),
            route("POST", "/v1/responses", responses.create, keys, is_counted=True),
            route("POST", "/agents/{name}", agents.call, keys, is_counted=True),
            *self._anthropic_routes(chat),
            route("GET", "/healthz", operations.live, None),
            route("GET", "/readyz", operations.ready, None),
            *metrics,
            route("GET", "/openapi.json", OpenApi(service, has_metrics=bool(metrics)).document, keys),
            route("GET", "/v1/responses/{id}", responses.retrieve, keys, is_counted=True),
            route("GET", "/v1/responses/{id}/input_items", responses.input_items, keys),
            route("POST", "/v1/responses/{id}/cancel", responses.cancel, keys),
            route("DELETE", "/v1/responses/{id}", responses.delete, keys),
            route("POST", "/v1/conversations", conversations.create, keys),
            route("GET", "/v1/conversations/{id}", conversations.retrieve, keys),
            route("POST", "/v1/conversations/{id}", conversations.update, keys, is_counted=True),
            route("DELETE", "/v1/conversations/{id}", conversations.delete, keys),
            route("GET", "/v1/conversations/{id}/items", items.list, keys),
            route("POST", "/v1/conversations/{id}/items", items.create, keys, is_counted=True),
            route("GET", "/v1/conversations/{id}/items/{item}", items.retrieve, keys),
            route("DELETE", "/v1/conversations/{id}/items/{item}", items.delete, keys, is_counted=True),
            route("GET", "/agents", agents.agents, keys),
            route("GET", "/agents/{name}/streams/{stream}", agents.resume, keys, is_counted=True),
            WebSocketRoute("/agents/{name}", AgentSocket(service)),
            *self._observer_routes(),
            route("GET", "/interactions", operations.interactions, admin),
            route("DELETE", "/interactions/{id}", operations.stop, admin),
            route("GET", "/waits", waits.waits, None),
            route("POST", "/waits", waits.answer, None),
        ]

    def _anthropic_routes(self, chat: ChatApi) -> list[BaseRoute]:
        """Return the routes for clients of Anthropic's API. Clients of OpenAI's API use those of models too."""
        service = self._service
        messages, models = AnthropicApi(service), AnthropicModels(service, chat.models, chat.model)

        def route(
            method: str, path: str, handler: Handler, as_body: AsBody = anthropic_body, *, is_counted: bool = False
        ) -> Route:
            endpoint = Endpoint(service, handler, keys=service.keys, is_counted=is_counted, as_body=as_body)
            return Route(path, endpoint, methods=[method])

        return [
            route("POST", "/v1/messages", messages.create, is_counted=True),
            route("POST", "/v1/messages/count_tokens", messages.count, is_counted=True),
            route("GET", "/v1/models", models.list, body_for),
            route("GET", "/v1/models/{model}", models.retrieve, body_for),
        ]

    def _observer_routes(self) -> list[BaseRoute]:
        """Return the routes of the page of the observer, which has tokens of its own."""
        if self._observer is None:
            return []
        page, prefix = self._observer, self._observer.prefix
        return [
            Route(prefix, page),
            Route(f"{prefix}/{{rest:path}}", page),
            WebSocketRoute(f"{prefix}/{{rest:path}}", page),
        ]

    async def _show_metrics(self, request: Request, key: str) -> ASGIApp:
        """Answer `GET /metrics`."""
        assert self._metrics is not None  # without metrics there is no such route
        return self._metrics


async def _http_problem(request: Request, error: Exception) -> Response:
    """Answer for Starlette itself, for example a 404 or a 405, in our form, or in the form of the client's API."""
    assert isinstance(error, HTTPException)  # the handler is registered for this class
    response = refusal_for(request, Problem(error.status_code, error.detail))
    response.headers.update(error.headers or {})
    if error.status_code == 405:  # each method has a route of its own, and Starlette names only that of the first
        matching = (route for route in request.app.routes if route.matches(request.scope)[0] is Match.PARTIAL)
        response.headers["allow"] = ", ".join(sorted({method for route in matching for method in route.methods}))
    return response
