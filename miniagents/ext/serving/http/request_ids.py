"""Request ids: each answer has one, and its log events, spans and errors have the same."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

from miniagents.actors.observing.request_id import current_request_id

_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_HEADERS = ("x-request-id", "request-id")
"""The headers that clients of OpenAI's and of Anthropic's API read."""

_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


@contextmanager
def identified(scope: Scope, send: Send) -> Iterator[Send]:
    """Run the block for a request with an id: the id in the header `X-Request-ID` if it is valid (1 to 128 letters,
    digits and `._:/+=@-`), or else a new one.

    Args:
        scope: The request.
        send: Sends the answer.

    Yields:
        A function that sends the answer with the id.
    """
    id = _id_of(scope)

    async def send_with_id(message: Message) -> None:
        if message["type"] in _STARTS:
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for name in _HEADERS:
                headers[name] = id
        await send(message)

    token = current_request_id.set(id)
    try:
        yield send_with_id
    finally:
        current_request_id.reset(token)


def _id_of(scope: Scope) -> str:
    ids = Headers(scope=scope).getlist("x-request-id")
    if len(ids) == 1 and _ID.fullmatch(ids[0]):
        return ids[0]
    return f"req_{secrets.token_hex(12)}"
