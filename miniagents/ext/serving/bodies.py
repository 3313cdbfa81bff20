"""Bodies of requests: JSON within limits, decoded into what is declared."""

import asyncio
import re
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from miniagents.ext.serving.limits import Limits
from miniagents.ext.serving.problems import Problem

T = TypeVar("T")

_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.S)
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*?)`$")


async def read_body(request: Request, limits: Limits) -> bytes:
    """The body of a request.

    Raises:
        Problem: 415: it is no JSON; 413: it is too large; 408: it comes too slowly.
        starlette.requests.ClientDisconnect: The client has gone.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(415, "The content type must be application/json.", code="unsupported_media_type")
    announced = request.headers.get("content-length", "")
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
    check_depth(body, limits)
    return bytes(body)


def too_large(limits: Limits) -> Problem:
    """What is larger than the limit."""
    return Problem(413, f"This is larger than {limits.body} bytes.", code="too_large")


def too_slow(limits: Limits) -> Problem:
    """What does not come in time."""
    return Problem(408, f"This did not come within {limits.body_timeout} s.", code="too_slow")


def check_depth(body: bytes | bytearray, limits: Limits) -> None:
    """Refuse JSON that is nested too deep, before it is decoded.

    Raises:
        Problem: 400.
    """
    if body.count(b"[") + body.count(b"{") <= limits.depth:
        return
    depth = 0
    for found in _STRUCTURE.finditer(body):
        mark = found[0][0]
        if mark in b"[{":
            depth += 1
            if depth > limits.depth:
                raise Problem(400, f"This is nested more than {limits.depth} deep.", code="too_deep")
        elif mark in b"]}":
            depth -= 1


def decode(body: bytes | str, kind: type[T], *, status: int) -> T:
    """A body as what is declared.

    Args:
        body: The JSON.
        kind: What it is to be.
        status: That of a body which is JSON, but not this.

    Raises:
        Problem: 400: it is no JSON; or `status`, with the field that is wrong.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise invalid(error, status) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"The body is no JSON: {error}.", code="invalid_json") from None


def convert(value: Any, kind: type[T], *, under: str, status: int) -> T:
    """Plain data as what is declared; see `decode`.

    Args:
        value: The data.
        kind: What it is to be.
        under: The field that it comes from.
        status: That of data which is not this.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise invalid(error, status, under) from None


def invalid(error: msgspec.ValidationError, status: int, under: str = "") -> Problem:
    """What a validation error is to a client: the text, and the field."""
    text = str(error)
    place = _PLACE.search(text)
    inner = place[1] if place is not None else ""
    missing = re.search(r"missing required field `(\w+)`|contains unknown field `(\w+)`", text)
    if missing is not None:
        inner = ".".join(part for part in (inner, missing[1] or missing[2]) if part)
    param = ".".join(part for part in (under, inner) if part).replace(".[", "[") or None
    return Problem(status, _PLACE.sub("", text) + ("" if param is None else f" ({param})"), param=param, code="invalid")
