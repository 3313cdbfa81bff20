"""What goes wrong, as HTTP says it: every failure has a status, and none shows a traceback."""

import math
from typing import Any

import msgspec
from starlette.responses import Response

from miniagents.errors import (
    ActorStoppedError,
    AllModelsFailedError,
    AuthenticationError,
    BudgetExceededError,
    ContextOverflowError,
    DeadlineExceededError,
    InvalidRequestError,
    LLMError,
    MailboxFullError,
    MissingKeyError,
    PromiseCancelledError,
    ProviderError,
    QuotaExceededError,
    RateLimitedError,
    RestartLimitError,
    SystemNotRunningError,
)
from miniagents.ext.wire.openai_errors import ErrorBody, error_body
from miniagents.messages import error_text

FAILURES = (Exception, SystemExit, KeyboardInterrupt)
"""What a call may fail with: an agent that would end the process ends its call alone."""

_SOON = 1.0
"""Seconds after which another attempt makes sense, where nothing better is known."""


class Problem(Exception):
    """An answer that is an error.

    Args:
        status: The HTTP status.
        message: For people.
        param: The field of the request that is wrong.
        code: For programs.
        retry_after: Seconds after which another attempt makes sense, or None.
        is_final: Whether another attempt makes no sense: clients of OpenAI are told so.
        is_passing: Whether another attempt makes sense: they are told that, too.
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

    def __reduce__(self) -> Any:
        return _problem, (self.message, self.__dict__)

    @property
    def body(self) -> ErrorBody:
        """The body of the response."""
        return error_body(self.status, self.message, param=self.param, code=self.code)

    def response(self, body: Any = None) -> Response:
        """The response.

        Args:
            body: Its body; None for `body`.
        """
        headers = {}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.status == 408:
            headers["connection"] = "close"  # the rest of the body may come yet, and is no request
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
    """A response of JSON."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def problem_of(error: BaseException, *, shows_errors: bool = False) -> Problem:
    """What a failure is to a client.

    Args:
        error: The failure.
        shows_errors: Whether the text of an agent's own error is shown; otherwise it is in the log alone.
    """
    match error:
        case Problem():
            return error
        case MailboxFullError():
            return Problem(429, "The agent is busy.", code="mailbox_full", retry_after=_SOON)
        case ActorStoppedError() | RestartLimitError() | SystemNotRunningError():
            return Problem(503, "The agent is not there at the moment.", code="unavailable", retry_after=_SOON)
        case DeadlineExceededError():
            return Problem(504, "The agent did not answer in time.", code="timeout", is_final=True)
        case PromiseCancelledError():
            return Problem(409, "The request was stopped.", code="cancelled", is_final=True)
        case BudgetExceededError() | QuotaExceededError():
            return Problem(402, "The budget is spent.", code="budget_exceeded", is_final=True)
        case ContextOverflowError():
            return Problem(400, "The conversation is too long for the model.", code="context_length_exceeded")
        case RateLimitedError():
            after = error.retry_after if error.retry_after is not None else _SOON
            return Problem(429, "The model is busy.", code="rate_limit_exceeded", retry_after=after)
        case AuthenticationError() | InvalidRequestError() | MissingKeyError():  # the same again would fail again
            return Problem(502, "The model cannot be asked.", code="model_failed", is_final=True)
        case ProviderError() | AllModelsFailedError():
            is_final = isinstance(error, ProviderError) and error.should_retry is False
            text = "The model did not answer."
            return Problem(502, text, code="model_failed", is_final=is_final, is_passing=not is_final)
        case _:
            text = error_text(error) if shows_errors else "The agent failed."
            code = "model_failed" if isinstance(error, LLMError) else "agent_failed"
            return Problem(500, text, code=code)
