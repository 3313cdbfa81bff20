"""Request ids: each answer has one, and so have the log, the spans and the error that belong to it."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

from miniagents.actors.observing.request_id import current_request_id

_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_HEADERS = ("x-request-id", "request-id")
"""What clients of OpenAI read, and clients of Anthropic."""

_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


@contextmanager
def identified(scope: Scope, send: Send) -> Iterator[Send]:
    """What is done in here is done for a request with an id: that of its `X-Request-ID` if it is a valid one (1 to 128
    letters, digits and `._:/+=@-`), or else a new one.

    Args:
        scope: The request.
        send: Sends its answer.

    Yields:
        What sends the answer with the id.
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
    given = Headers(scope=scope).getlist("x-request-id")
    if len(given) == 1 and _ID.fullmatch(given[0]):
        return given[0]
    return f"req_{secrets.token_hex(12)}"
