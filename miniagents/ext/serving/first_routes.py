"""The calls of agents, routed without the middleware and the router of Starlette, through which each event would go."""

from collections.abc import Awaitable, Iterable

from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from miniagents.ext.serving.service import Endpoint, OnHttpError


class FirstRoutes:
    """The first routes of an app, as an innermost middleware. All other requests take the way of Starlette.

    A live stream holds the coroutines and the functions that it has passed, and each of its events resumes all of them.
    The way of Starlette from here to an endpoint has five coroutines and 20 objects (benchmark `calm`).

    Args:
        app: Starlette's `ExceptionMiddleware` around the router.
        router: The router. Its first routes count as far as they lead to an `Endpoint`: routes that the application has
            put before them are tried first.
        on_http_error: Answers an `HTTPException` of an endpoint.
    """

    def __init__(self, app: ASGIApp, router: Router, on_http_error: OnHttpError) -> None:
        self._app = app
        self._router = router
        self._routes = tuple(_first(router.routes))
        self._on_http_error = on_http_error

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request, in the same coroutine as the endpoint."""
        if scope["type"] == "http":
            for route, endpoint in self._routes:
                match, child_scope = route.matches(scope)
                if match is Match.FULL:
                    scope.setdefault("router", self._router)
                    scope["route"] = route
                    scope.update(child_scope)
                    return endpoint(scope, receive, send, self._on_http_error)
        return self._app(scope, receive, send)


def _first(routes: Iterable[BaseRoute]) -> Iterable[tuple[Route, Endpoint]]:
    for route in routes:
        if not isinstance(route, Route) or not isinstance(route.endpoint, Endpoint) or not route.endpoint.is_counted:
            return
        yield route, route.endpoint
