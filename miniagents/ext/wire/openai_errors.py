"""OpenAI's error bodies."""

import msgspec
from msgspec import UNSET, UnsetType

_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    402: "insufficient_quota",
    403: "invalid_request_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "requests",
}


class ErrorDetail(msgspec.Struct, frozen=True):
    """The details of an error.

    Attributes:
        message: The text, for people.
        type: The type of the error.
        param: The wrong field of the request, or null.
        code: A code for programs, or null.
    """

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of an error response.

    Attributes:
        error: The details of the error.
        request_id: The id of the request, if it is known.
    """

    error: ErrorDetail
    request_id: str | UnsetType = UNSET


def error_type(status: int) -> str:
    """Return the type of the errors with a status.

    Example:
        >>> error_type(404), error_type(503)
        ('invalid_request_error', 'server_error')
    """
    return _TYPES.get(status, "server_error")


def error_body(
    status: int, message: str, *, param: str | None = None, code: str | None = None, request_id: str | None = None
) -> ErrorBody:
    """Return the body of an error response.

    Args:
        status: The HTTP status.
        message: The text of the error.
        param: The wrong field of the request, or None.
        code: A code for programs, or None.
        request_id: The id of the request; None to leave it out.
    """
    id = UNSET if request_id is None else request_id
    return ErrorBody(ErrorDetail(message, error_type(status), param, code), id)
