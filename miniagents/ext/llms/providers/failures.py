"""What providers say when they fail, as our errors."""

import datetime as dt
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from miniagents.errors import (
    AuthenticationError,
    ContextOverflowError,
    IncompleteResponseError,
    InvalidRequestError,
    MalformedResponseError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
)

_OVERFLOW = ("context_length_exceeded", "prompt is too long", "maximum context length", "exceed_context_size")
_QUOTA = ("insufficient_quota", "billing_error", "credit balance is too low")
_UNAVAILABLE = frozenset({408, 409, 425})
_ANTHROPIC_TYPES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Anthropic's error types and their statuses: inside a stream, only the type is known."""


def status_failure(
    provider: str, status: int | None, body: Any, headers: Mapping[str, str], text: str, *, in_stream: bool = False
) -> ProviderError:
    """The error that stands for an error response.

    Args:
        provider: Its name.
        status: The HTTP status; of an error inside a stream, None.
        body: What it said: the decoded JSON, or text.
        headers: The headers of the response.
        text: The SDK's text.
        in_stream: Whether it came inside a stream.
    """
    error = body.get("error", body) if isinstance(body, Mapping) else {}
    error = error if isinstance(error, Mapping) else {"message": str(error)}
    kind = error.get("type")
    code = error.get("code")
    if in_stream or status is None:
        # Whatever ends a stream that had begun well is the provider's failure, unless it says otherwise.
        status = _ANTHROPIC_TYPES.get(str(kind), 429 if code == "rate_limit_exceeded" else None)
    said = str(error.get("message") or text)
    everything = f"{kind} {code} {said}".lower()
    facts = {
        "status": status,
        "error_type": str(code or kind) if code or kind else None,
        "request_id": headers.get("x-request-id") or headers.get("request-id"),
        "retry_after": retry_after(headers),
        "should_retry": {"true": True, "false": False}.get(headers.get("x-should-retry", "").lower()),
        "limits": limit_headers(headers),
    }
    where = f"{provider}: {status if status is not None else 'error in the stream'}: {said}"
    if any(word in everything for word in _QUOTA) or status == 402:
        return QuotaExceededError(f"{where}; the quota is used up: check plan and billing", **facts)
    if any(word in everything for word in _OVERFLOW):
        return ContextOverflowError(
            f"{where}; shorten the conversation, or take a model with a longer context", **facts
        )
    if status in (401, 403):
        advice = "check the API key" if status == 401 else "the key may not use this model or feature"
        return AuthenticationError(f"{where}; {advice}", **facts)
    if status == 429:
        return RateLimitedError(where, **facts)
    if status is None or status >= 500 or status in _UNAVAILABLE:
        return ProviderUnavailableError(where, **facts)
    if 400 <= status < 500:
        advice = "check model= and base_url=" if status == 404 else "check the options and messages"
        return InvalidRequestError(f"{where}; {advice}", **facts)
    return MalformedResponseError(f"{where}; the answer is no success and no error", **facts)


def connection_failure(provider: str, error: BaseException, *, has_begun: bool) -> ProviderUnavailableError:
    """The error that stands for a connection that failed, or was cut."""
    said = str(error.__cause__ or error) or type(error).__name__
    if has_begun:
        return IncompleteResponseError(f"{provider}: the connection was cut in the middle of the answer: {said}")
    return ProviderUnavailableError(f"{provider}: cannot be reached: {said}")


def malformed(provider: str, what: str) -> MalformedResponseError:
    """The error that stands for an answer that the API does not speak."""
    return MalformedResponseError(f"{provider}: {what}; check base_url=, or a proxy in between")


def is_no_stream(headers: Mapping[str, str]) -> bool:
    """Whether an answer is a page or a document instead of a stream: the SDKs would take it for an empty stream."""
    kind = headers.get("content-type", "").lower()
    return "html" in kind or "application/json" in kind


def retry_after(headers: Mapping[str, str]) -> float | None:
    """How many seconds the provider asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(float(headers[name]) / divisor, 0.0)
        except (KeyError, ValueError):
            pass
    try:
        date = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=dt.UTC)
    return max((date - dt.datetime.now(dt.UTC)).total_seconds(), 0.0)


def limit_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that speak of rate limits."""
    return {name.lower(): value for name, value in headers.items() if "ratelimit" in name.lower()}
