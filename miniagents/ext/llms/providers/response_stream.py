"""From the bytes of a response to the pieces of an answer, with whatever goes wrong as our errors.

The SDKs send the request; what comes back is read here, and not by their decoders: these take an empty event for broken
JSON, hide the comments that keep a connection alive, and hand over whatever a server says without a look.
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
"""Seconds for the end of a connection's body after the last event, so that it can be used again."""


async def read_response(
    endpoint: Endpoint,
    request: ModelRequest,
    answer: Answer,
    send: Callable[[], AbstractAsyncContextManager[Any]],
    reader: Reader,
    check: Check = check_ending,
) -> AsyncGenerator[str | None, None]:
    """Send a request, and read the answer as it comes.

    Args:
        endpoint: Where it goes.
        request: The request.
        answer: What is filled.
        send: Sends it: the SDK's `with_streaming_response`.
        reader: Reads what comes.
        check: Looks at the whole answer.

    Yields:
        The pieces of the text; an empty one for anything else of the answer that came, None for keep-alives.

    Raises:
        ProviderError: It failed, or there is no whole answer.
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
            raise failure  # out here it has no context: the SDK's error may show the key
        finally:
            failure = None  # or the error would hold this frame, and the frame the error


async def _streamed(http: Any, reader: Reader) -> AsyncGenerator[str | None, None]:
    decoder, halves = EventDecoder(), Halves()
    body: AsyncIterator[bytes] = http.aiter_bytes()
    is_empty = True
    async for chunk in body:
        events = decoder.feed(chunk)
        if not events:
            yield None  # a comment, or a part of an event: it lives
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
            with contextlib.suppress(Unreadable):  # the connection was closed in the middle of it
                yield _event(reader, halves, kind, data)
    if is_empty and decoder.stray:
        yield _body(reader, bytes(decoder.stray))
    yield halves.end()


def _event(reader: Reader, halves: Halves, kind: str, data: bytes) -> str:
    said, is_sound = decoded(data)
    piece = reader.event(kind, _object(said))
    return piece if is_sound and not halves.held else halves.joined(piece)


async def _whole(http: Any, reader: Reader) -> AsyncGenerator[str | None, None]:
    body = bytearray()
    async for chunk in http.aiter_bytes():
        body += chunk
        yield None
    yield _body(reader, bytes(body))


async def _decoded_by_sdk(response: Any, reader: Reader) -> AsyncGenerator[str | None, None]:
    """Amazon's own framing, which the SDK of Anthropic decodes for its client of Bedrock."""
    async for event in await response.parse():
        yield reader.event("", event.to_dict(mode="python"))


def _body(reader: Reader, body: bytes) -> str:
    """A whole answer."""
    text = body.strip()
    if not text:
        raise Unreadable("the answer", None)
    if text.startswith((b"data:", b"event:")):  # a stream that nobody asked for
        decoder, halves = EventDecoder(), Halves()
        events = [one for one in (*decoder.feed(text), *decoder.end()) if not one[1].startswith(b"[DONE]")]
        return "".join(_event(reader, halves, kind, data) for kind, data in events) + halves.end()
    said, is_sound = decoded(text)
    data = _object(said)
    if says_failure(data):
        raise Failed(data, "the answer is an error")
    halves = Halves()
    piece = reader.whole(data)
    return piece if is_sound else halves.joined(piece) + halves.end()


def _object(said: Any) -> dict[str, Any]:
    if isinstance(said, list) and len(said) == 1:
        said = said[0]  # so Google's servers send errors
    if not isinstance(said, dict):
        raise Unreadable("the answer", said)
    if said.get("error"):
        raise Failed(said, "the answer has an error")
    return said


async def _drain(body: AsyncIterator[bytes]) -> None:
    """Read what is left of a body whose last event came."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN):
            async for _ in body:
                pass
