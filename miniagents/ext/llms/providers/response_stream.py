"""`read_response`: send a request and read the bytes of its response into an answer.

The SDKs send requests, and this module reads the responses: the decoders of the SDKs raise an error for an empty event,
hide the comments that keep a connection alive, and do not check what a server sends.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from miniagents.errors import ProviderError
from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.ext.llms.providers.checking import Check, check_ending
from miniagents.ext.llms.providers.endpoint import Endpoint
from miniagents.ext.llms.providers.error_mapping import limit_headers
from miniagents.ext.llms.providers.reading import Failed, Reader, Unreadable, decoded, says_failure
from miniagents.ext.llms.sound import Halves
from miniagents.ext.wire.sse import EventDecoder

_DRAIN = 0.1
"""Seconds to read the end of a body after the last event, so that the connection can be reused."""


async def read_response(
    endpoint: Endpoint,
    request: ModelRequest,
    answer: Answer,
    send: Callable[[], AbstractAsyncContextManager[Any]],
    reader: Reader,
    check: Check = check_ending,
) -> AsyncGenerator[str | None, None]:
    """Send a request, and read the answer as it arrives.

    Args:
        endpoint: The provider.
        request: The request.
        answer: The answer to fill.
        send: Sends the request: the SDK's `with_streaming_response`.
        reader: Reads the events or the body into the answer.
        check: Checks the whole answer.

    Yields:
        The pieces of the text, an empty piece for another part of the answer, None for keep-alives; see `Provider`.

    Raises:
        ProviderError: The request failed, or the answer is not whole.
    """
    failure: ProviderError | None = None
    http: Any = None
    try:
        async with send() as response:
            http = response.http_response
            headers = http.headers
            answer.request_id = headers.get("x-request-id") or headers.get("request-id")
            answer.limits = limit_headers(headers)
            kind = headers.get("content-type", "").lower()
            if "html" in kind:
                raise Unreadable("the answer", kind)
            if "json" in kind or (not request.stream and "event-stream" not in kind):
                pieces = _whole(http, reader)
            elif "amazon.eventstream" in kind:
                pieces = _decoded_by_sdk(response, reader)
            else:
                pieces = _streamed(http, reader)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
        check(endpoint.name, request, answer)
    except Exception as error:
        failure = endpoint.failure(error, http)
        if failure is None:
            raise
    if failure is not None:
        try:
            raise failure  # outside of the except clause, without the SDK's error as context, which may show the key
        finally:
            failure = None  # or the error would hold this frame, and the frame the error


async def _streamed(http: Any, reader: Reader) -> AsyncGenerator[str | None, None]:
    decoder, halves = EventDecoder(), Halves()
    body: AsyncIterator[bytes] = http.aiter_bytes()
    is_empty = True
    async for chunk in body:
        events = decoder.feed(chunk)
        if not events:
            yield None  # a comment, or a part of an event: the provider has not stalled
            continue
        is_empty = False
        for kind, data in events:
            if data.startswith(b"[DONE]"):
                break
            yield _event(reader, halves, kind, data)
            if reader.is_done:
                break
        else:
            continue
        await _drain(body)
        break
    else:
        for kind, data in decoder.end():
            is_empty = False
            with contextlib.suppress(Unreadable):  # the connection was closed in the middle of the event
                yield _event(reader, halves, kind, data)
    if is_empty and decoder.stray:
        yield _body(reader, bytes(decoder.stray))
    yield halves.end()


def _event(reader: Reader, halves: Halves, kind: str, data: bytes) -> str:
    value, is_sound = decoded(data)
    piece = reader.event(kind, _object(value))
    return piece if is_sound and not halves.held else halves.joined(piece)


async def _whole(http: Any, reader: Reader) -> AsyncGenerator[str | None, None]:
    body = bytearray()
    async for chunk in http.aiter_bytes():
        body += chunk
        yield None
    yield _body(reader, bytes(body))


async def _decoded_by_sdk(response: Any, reader: Reader) -> AsyncGenerator[str | None, None]:
    """Read Amazon's own framing, which the SDK of Anthropic decodes for its client of Bedrock."""
    async for event in await response.parse():
        yield reader.event("", event.to_dict(mode="python"))


def _body(reader: Reader, body: bytes) -> str:
    """Read a whole body."""
    text = body.strip()
    if not text:
        raise Unreadable("the answer", None)
    if text.startswith((b"data:", b"event:")):  # the server streams although the request does not ask for it
        decoder, halves = EventDecoder(), Halves()
        events = [event for event in (*decoder.feed(text), *decoder.end()) if not event[1].startswith(b"[DONE]")]
        return "".join(_event(reader, halves, kind, data) for kind, data in events) + halves.end()
    value, is_sound = decoded(text)
    data = _object(value)
    if says_failure(data):
        raise Failed(data, "the answer is an error")
    halves = Halves()
    piece = reader.whole(data)
    return piece if is_sound else halves.joined(piece) + halves.end()


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # Google's servers send errors in a list
    if not isinstance(value, dict):
        raise Unreadable("the answer", value)
    if value.get("error"):
        raise Failed(value, "the answer has an error")
    return value


async def _drain(body: AsyncIterator[bytes]) -> None:
    """Read the rest of a body after its last event."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN):
            async for _ in body:
                pass
