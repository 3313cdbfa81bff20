"""Bodies of requests: JSON within limits, decoded into types."""

import asyncio
import re
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.types import Message, Receive

from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_headers import header

T = TypeVar("T")

BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
"""The pattern of bytes in base64, for the types of fields."""

_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*?)`$")


async def read_body(request: Request, limits: Limits) -> bytes:
    """Read the body of a request.

    Raises:
        Problem: 415: the content type is not JSON; 413: the body is too large; 408: the body arrives too slowly.
        starlette.requests.ClientDisconnect: The client has disconnected.
    """
    media_type = (header(request.scope, b"content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(415, "The content type must be application/json.", code="unsupported_media_type")
    announced = header(request.scope, b"content-length") or ""
    if announced.isdecimal() and int(announced) > limits.body:
        raise too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_timeout):
            async for piece in request.stream():
                body += piece
                if len(body) > limits.body:
                    raise too_large(limits)
    except TimeoutError:
        raise too_slow(limits) from None
    return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a function that receives a body which was read already, and then what comes after it."""
    is_read = False

    async def receive_again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def too_large(limits: Limits) -> Problem:
    """Return the problem of a body that is larger than the limit."""
    return Problem(413, f"The body is larger than {limits.body} bytes.", code="too_large")


def too_slow(limits: Limits) -> Problem:
    """Return the problem of a body that does not arrive in time."""
    return Problem(408, f"The request did not arrive within {limits.body_timeout} s.", code="too_slow")


def check_structure(body: bytes, limits: Limits) -> int:
    """Refuse JSON that is nested too deep or has too many elements, before it is decoded, since elements cost far more
    than bytes. The check takes 2 to 10 ms per MiB.

    Returns:
        An upper bound of the number of elements.

    Raises:
        Problem: 400: the JSON is too deep, or has too many elements.
    """
    marks = _marks(body)
    if marks <= limits.elements and body.count(b"[") + body.count(b"{") <= limits.depth:
        return marks  # even with the characters in strings
    without_escapes = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if without_escapes.count(b'"') > 4 * limits.elements + 4:  # an element has two strings at most
        raise _too_many(limits)
    outside = b"".join(without_escapes.split(b'"')[::2])
    marks = _marks(outside)
    if marks > limits.elements:
        raise _too_many(limits)
    brackets = outside.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(limits.depth):  # each step removes the innermost brackets
        brackets = brackets.replace(b"[]", b"")
    if b"[" in brackets:
        raise Problem(400, f"The JSON is nested more than {limits.depth} levels deep.", code="too_deep")
    return marks


def _marks(body: bytes) -> int:
    """Return an upper bound of the number of elements: each has its own comma, colon or bracket."""
    return body.count(b",") + body.count(b":") + body.count(b"[") + body.count(b"{")


def _too_many(limits: Limits) -> Problem:
    return Problem(400, f"The JSON has more than {limits.elements} elements.", code="too_many_elements")


def decode(body: bytes | str, kind: type[T], *, status: int) -> T:
    """Decode a body into a type.

    Args:
        body: The JSON.
        kind: The type.
        status: The status for JSON that does not fit the type.

    Raises:
        Problem: 400: the body is not JSON; or `status`, with the field that is wrong.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise invalid(error, status) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"The body is not JSON: {error}.", code="invalid_json") from None


def convert(value: Any, kind: type[T], *, under: str, status: int) -> T:
    """Convert plain data into a type; see `decode`.

    Args:
        value: The data.
        kind: The type.
        under: The field of the request with the data.
        status: The status for data that does not fit the type.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise invalid(error, status, under) from None


def invalid(error: msgspec.ValidationError, status: int, under: str = "") -> Problem:
    """Return the problem of a validation error, with its text and the field.

    Args:
        error: The error.
        status: The status.
        under: The field of the request with the data; "" for the body.
    """
    text = str(error)
    place = _PLACE.search(text)
    inner = place[1] if place is not None else ""
    missing = re.search(r"missing required field `(\w+)`|contains unknown field `(\w+)`", text)
    if missing is not None:
        inner = ".".join(part for part in (inner, missing[1] or missing[2]) if part)
    param = ".".join(part for part in (under, inner) if part).replace(".[", "[") or None
    return Problem(status, _PLACE.sub("", text) + ("" if param is None else f" ({param})"), param=param, code="invalid")
