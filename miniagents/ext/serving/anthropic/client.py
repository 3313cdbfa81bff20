"""The form of failures for clients of Anthropic's API."""

from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import Response

from miniagents.ext.serving.anthropic.threads import details_of
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_headers import header
from miniagents.ext.wire.anthropic import AnthropicError, anthropic_error

_VERSION = b"anthropic-version"


def speaks_anthropic(request: HTTPConnection) -> bool:
    """Return whether a request comes from a client of Anthropic's API: all of these send the version of the API."""
    return header(request.scope, _VERSION) is not None


def anthropic_body(request: HTTPConnection, problem: Problem) -> AnthropicError:
    """Return a problem in the form of Anthropic's API."""
    details, request_id = details_of(problem), problem.request_id
    return anthropic_error(problem.status, problem.message, details=details, request_id=request_id)


def body_for(request: HTTPConnection, problem: Problem) -> Any:
    """Return a problem in the form of the client's API; None for our own form."""
    return anthropic_body(request, problem) if speaks_anthropic(request) else None


def refusal_for(request: HTTPConnection, problem: Problem) -> Response:
    """Return the response to a request that no endpoint has answered."""
    return problem.response(body_for(request, problem))
