"""Problems: failures as HTTP responses. Each has a status, and none shows a traceback."""

import contextlib
import math
from typing import Any

import msgspec
from starlette.responses import Response

from miniagents.actors.observing.request_id import current_request_id
from miniagents.errors import (
    ActorStoppedError,
    AllModelsFailedError,
    AnswerRefusedError,
    AuthenticationError,
    BudgetExceededError,
    ContextOverflowError,
    DeadlineExceededError,
    EmptyConversationError,
    InvalidRequestError,
    LLMError,
    MailboxFullError,
    MissingKeyError,
    PromiseCancelledError,
    ProviderError,
    QuotaExceededError,
    RateLimitedError,
    RestartLimitError,
    ServiceStoppingError,
    SystemNotRunningError,
    UnsupportedContentError,
)
from miniagents.ext.wire.openai_errors import ErrorBody, error_body
from miniagents.log import log as _log
from miniagents.messages import error_text
from miniagents.promising.tracebacks import traceback_text

FAILURES = (Exception, SystemExit, KeyboardInterrupt)
"""The exceptions of a call. An agent that tries to end the process ends only its own call."""

GONE = 499
"""The status of a request whose client has gone. Nobody reads it, but outer middleware and logs need one."""

_LOGGED_STATUSES = (500, 502)
_LOGGED = "__miniagents_logged__"

_REFUSALS = {"wrong_kind": 422, "unknown": 404}
"""The statuses of answers from outside that nothing takes, by `AnswerRefusedError.reason`; all others are a 409."""

STOPPING = "stopping"
"""The code of the problem that the service is stopping."""

_SOON = 1.0
"""Seconds until another attempt, if nothing better is known."""


class Problem(Exception):
    """An error that is the answer to a request.

    Args:
        status: The HTTP status.
        message: The text.
        param: The field of the request that is wrong.
        code: The code, for programs.
        retry_after: Seconds after which another attempt may succeed, or None.
        is_final: Whether another attempt would fail again: clients of OpenAI's API are told not to retry.
        is_passing: Whether another attempt may succeed: clients of OpenAI's API are told to retry.

    Attributes:
        begun_by: The id of the request that began the failed call; None if no call has failed.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        is_final: bool = False,
        is_passing: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after
        self.is_final = is_final
        self.is_passing = is_passing
        self.begun_by: str | None = None

    def __reduce__(self) -> Any:
        return _problem, (self.message, self.__dict__)

    @property
    def body(self) -> ErrorBody:
        """The body of the response."""
        return error_body(self.status, self.message, param=self.param, code=self.code, request_id=self.request_id)

    @property
    def request_id(self) -> str | None:
        """The id of the request that began the failed call, or else of the current request."""
        return self.begun_by if self.begun_by is not None else current_request_id.get()

    def response(self, body: Any = None) -> Response:
        """Return the response.

        Args:
            body: The body; None for `Problem.body`.
        """
        headers = {}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.status == 408 or self.code == STOPPING:
            # After a 408 the rest of the body may still arrive. A server that stops takes no more requests.
            headers["connection"] = "close"
        if self.retry_after is not None:
            headers["retry-after"] = str(max(math.ceil(self.retry_after), 1))
        if self.is_final or self.is_passing:
            headers["x-should-retry"] = "true" if self.is_passing else "false"
        return json_response(self.body if body is None else body, self.status, headers)


def _problem(message: str, facts: dict[str, Any]) -> Problem:
    problem = Problem(facts["status"], message)
    problem.__dict__.update(facts)
    return problem


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response with a JSON body."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def stopping() -> Problem:
    """Return the problem of a service that is stopping: another instance may answer."""
    return Problem(503, "The server is stopping.", code=STOPPING, retry_after=_SOON, is_passing=True)


def refused(error: AnswerRefusedError) -> Problem:
    """Return the problem of an answer from outside that nothing takes, for the one who has given it."""
    code = "wait_not_found" if error.reason == "unknown" else error.reason
    return Problem(_REFUSALS.get(error.reason, 409), f"{error}.", param="wait", code=code, is_final=True)


def told(error: BaseException, *, shows_errors: bool, **facts: Any) -> Problem:
    """Return the problem of a failure for the client, and log the facts that the client does not see.

    Args:
        error: The failure.
        shows_errors: See `problem_of`.
        **facts: More facts for the log.
    """
    problem = problem_of(error, shows_errors=shows_errors)
    if problem.status in _LOGGED_STATUSES and not getattr(error, _LOGGED, False):
        with contextlib.suppress(AttributeError):
            setattr(error, _LOGGED, True)  # a replay fails with the same error
        facts.setdefault("request_id", problem.request_id)
        _log.error("service.agent_failed", **facts, error=repr(error), stack=traceback_text(error))
    return problem


def problem_of(error: BaseException, *, shows_errors: bool = False) -> Problem:
    """Return the problem of a failure for the client.

    Args:
        error: The failure.
        shows_errors: Whether the problem has the text of an agent's own error; otherwise only the log has it.
    """
    match error:
        case Problem():
            return error
        case MailboxFullError():
            return Problem(429, "The agent is busy.", code="mailbox_full", retry_after=_SOON)
        case ServiceStoppingError():
            return stopping()
        case ActorStoppedError() | RestartLimitError() | SystemNotRunningError():
            return Problem(503, "The agent is not running at the moment.", code="unavailable", retry_after=_SOON)
        case DeadlineExceededError():
            return Problem(504, "The agent did not answer in time.", code="timeout", is_final=True)
        case PromiseCancelledError():
            return Problem(409, "The request was stopped.", code="cancelled", is_final=True)
        case BudgetExceededError() | QuotaExceededError():
            return Problem(402, "The budget is spent.", code="budget_exceeded", is_final=True)
        case ContextOverflowError():
            return Problem(400, "The conversation is too long for the model.", code="context_length_exceeded")
        case EmptyConversationError():
            text = "There is nothing to send to the model: no message of the request has a text."
            return Problem(400, text, code="empty_conversation")
        case UnsupportedContentError():
            return Problem(400, f"The model cannot be called: {error}.", code="unsupported_content")
        case RateLimitedError():
            after = error.retry_after if error.retry_after is not None else _SOON
            return Problem(429, "The model is busy.", code="rate_limit_exceeded", retry_after=after)
        case AuthenticationError() | InvalidRequestError() | MissingKeyError():  # the same request would fail again
            return Problem(502, "The model cannot be called.", code="model_failed", is_final=True)
        case ProviderError() | AllModelsFailedError():
            is_final = isinstance(error, ProviderError) and error.should_retry is False
            text = "The model did not answer."
            return Problem(502, text, code="model_failed", is_final=is_final, is_passing=not is_final)
        case _:
            text = error_text(error) if shows_errors else "The agent failed."
            code = "model_failed" if isinstance(error, LLMError) else "agent_failed"
            return Problem(500, text, code=code)
