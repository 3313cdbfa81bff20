"""What the clients of Anthropic's API expect of every answer: an id, and failures in a form of their own."""

import secrets
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from miniagents.ext.serving.problems import Problem
from miniagents.ext.wire.anthropic import AnthropicError, anthropic_error

_VERSION = "anthropic-version"
_ID = "miniagents.anthropic_request_id"


class RequestIds:
    """Gives each request an id: the header `request-id` of its answer, and `request_id` in its failures.

    Args:
        app: What is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand it on."""

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_header(scope))
            await send(message)

        await self._app(scope, receive, send_with_id)


def _id_of(scope: Scope) -> str:
    id: str = scope.setdefault(_ID, f"req_{secrets.token_hex(12)}")
    return id


def _header(scope: Scope) -> dict[str, str]:
    return {"request-id": _id_of(scope)}


def speaks_anthropic(request: HTTPConnection) -> bool:
    """Whether it comes from a client of Anthropic's API: all of these say which version they speak."""
    return _VERSION in request.headers


def anthropic_body(request: HTTPConnection, problem: Problem) -> AnthropicError:
    """A problem, as Anthropic's clients read it."""
    return anthropic_error(problem.status, problem.message, request_id=_id_of(request.scope))


def body_for(request: HTTPConnection, problem: Problem) -> Any:
    """A problem, as the client reads it; None for our own form."""
    return anthropic_body(request, problem) if speaks_anthropic(request) else None


def refusal_for(request: HTTPConnection, problem: Problem) -> Response:
    """The response to a request that no endpoint has answered."""
    response = problem.response(body_for(request, problem))
    if speaks_anthropic(request):
        response.headers.update(_header(request.scope))
    return response
