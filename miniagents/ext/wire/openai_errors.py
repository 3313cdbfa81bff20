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
    """What went wrong.

    Attributes:
        message: For people.
        type: The family of errors.
        param: The field of the request that is wrong, or null.
        code: For programs, or null.
    """

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every response that is an error.

    Attributes:
        error: What went wrong.
        request_id: The id of the request, where it is known.
    """

    error: ErrorDetail
    request_id: str | UnsetType = UNSET


def error_type(status: int) -> str:
    """The family that errors of a status belong to."""
    return _TYPES.get(status, "server_error")


def error_body(
    status: int, message: str, *, param: str | None = None, code: str | None = None, request_id: str | None = None
) -> ErrorBody:
    """The body of an error response."""
    id = UNSET if request_id is None else request_id
    return ErrorBody(ErrorDetail(message, error_type(status), param, code), id)
