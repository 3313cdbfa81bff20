"""Error responses of providers as errors of this package."""

from collections.abc import Mapping
from typing import Any

import msgspec

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
from miniagents.ext.llms.delays import duration, retry_after
from miniagents.ext.llms.providers.reading import shortened

_OVERFLOW = ("context_length_exceeded", "prompt is too long", "maximum context length", "exceed_context_size")
_QUOTA = ("insufficient_quota", "billing_error", "credit balance is too low")
_UNAVAILABLE = frozenset({408, 409, 425})
_STATUSES = {
    # Anthropic's types
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
    # OpenAI's codes
    "invalid_api_key": 401,
    "insufficient_quota": 402,
    "model_not_found": 404,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    # Bedrock's exceptions
    "validationexception": 400,
    "accessdeniedexception": 403,
    "resourcenotfoundexception": 404,
    "modeltimeoutexception": 408,
    "throttlingexception": 429,
    "servicequotaexceededexception": 429,
    "internalserverexception": 500,
    "modelerrorexception": 500,
    "modelstreamerrorexception": 500,
    "modelnotreadyexception": 503,
    "serviceunavailableexception": 503,
    # Google's words
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "resource_exhausted": 429,
    "internal": 500,
    "unavailable": 503,
    "deadline_exceeded": 504,
}
"""The HTTP statuses of the providers' error types: an error inside an answer has a type and no status."""
_MAX_LETTERS = 1000


def status_failure(
    provider: str,
    status: int | None,
    body: object,
    headers: Mapping[str, str],
    text: str,
    *,
    key_source: str = "",
    should_retry: bool | None = None,
) -> ProviderError:
    """Return the error for an error response.

    Args:
        provider: The name of the provider.
        status: The HTTP status; None for an error inside an answer, whose status its type tells.
        body: The body: decoded JSON, or text.
        headers: The headers of the response.
        text: The text of the error if the body has none.
        key_source: The name of the argument or variable that the key came from; "" if it is not known.
        should_retry: Whether another attempt makes sense; None if the provider decides.
    """
    error = _error_in(body)
    kind, code = error.get("type"), error.get("code")
    if status is None:
        status = _status_in(error)
    message = shortened(str(error.get("message") or error.get("detail") or text), _MAX_LETTERS)
    searched = f"{kind} {code} {message}".lower()
    error_type = next((str(name) for name in (code, kind, error.get("status")) if name), None)
    request_id = body.get("request_id") if isinstance(body, Mapping) else None
    facts: dict[str, Any] = {
        "status": status,
        "error_type": error_type,
        "request_id": headers.get("x-request-id") or headers.get("request-id") or request_id,
        "retry_after": retry_after(headers),
        "should_retry": {"true": True, "false": False}.get(headers.get("x-should-retry", "").lower(), should_retry),
        "limits": limit_headers(headers),
    }
    where = f"{provider}: {status if status is not None else 'error in the answer'}: {message}"
    if any(phrase in searched for phrase in _QUOTA) or status == 402:
        return QuotaExceededError(f"{where}; the quota is used up: check plan and billing", **facts)
    if any(phrase in searched for phrase in _OVERFLOW):
        return ContextOverflowError(
            f"{where}; shorten the conversation, or take a model with a longer context", **facts
        )
    if status in (401, 403):
        source = f" from {key_source}" if key_source else ""
        advice = f"check the API key{source}" if status == 401 else f"the key{source} may not use this model or feature"
        return AuthenticationError(f"{where}; {advice}", **facts)
    if status == 429:
        wait = facts["retry_after"]
        when = f"; the provider asks to wait {duration(wait)}" if isinstance(wait, float) and wait >= 1.0 else ""
        return RateLimitedError(f"{where}{when}", **facts)
    if status is None or status >= 500 or status in _UNAVAILABLE:
        return ProviderUnavailableError(where, **facts)
    if 400 <= status < 500:
        advice = "check model= and base_url=" if status == 404 else "check the options and messages"
        return InvalidRequestError(f"{where}; {advice}", **facts)
    return MalformedResponseError(f"{where}; the answer is no success and no error", **facts)


def connection_failure(
    provider: str, text: str, *, has_begun: bool, was_reached: bool = True
) -> ProviderUnavailableError:
    """Return the error for a connection that failed or was cut.

    Args:
        provider: The name of the provider.
        text: The text of the failure.
        has_begun: Whether the answer had begun.
        was_reached: Whether there was a connection.
    """
    if has_begun:
        return IncompleteResponseError(f"{provider}: the connection was cut in the middle of the answer: {text}")
    return ProviderUnavailableError(f"{provider}: cannot be reached: {text}", was_reached=was_reached)


def malformed(provider: str, what: str) -> MalformedResponseError:
    """Return the error for an answer that is not in the form of the API."""
    return MalformedResponseError(f"{provider}: {what}; check base_url=, or a proxy in between")


def _error_in(body: object) -> Mapping[str, Any]:
    """Return the fields of the error in a body, which has one of several known forms."""
    if isinstance(body, list):
        body = body[0] if body else None
    error = (body.get("error") or body) if isinstance(body, Mapping) else body
    if isinstance(error, Mapping):
        if isinstance(error.get("message"), (dict, list)):
            return {**error, "message": msgspec.json.encode(error["message"]).decode()}
        return error
    return {"message": str(error)} if error else {}


def _status_in(error: Mapping[str, Any]) -> int | None:
    """Return the HTTP status that the fields of an error imply, or None."""
    words = [error.get(name) for name in ("code", "status", "status_code", "type")]
    for word in words:
        number = int(word) if isinstance(word, str) and word.isascii() and word.isdigit() and len(word) == 3 else word
        if isinstance(number, int) and 400 <= number < 600:
            return number
    return next(
        (_STATUSES[word.lower()] for word in words if isinstance(word, str) and word.lower() in _STATUSES), None
    )


def limit_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers about rate limits."""
    return {name.lower(): value for name, value in headers.items() if "ratelimit" in name.lower()}
