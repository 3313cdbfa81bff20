"""Request ids: each answer has one, and its log events, spans and errors have the same."""

import re
import secrets
from collections.abc import Awaitable

from starlette.types import Message, Scope, Send

from miniagents.ext.serving.http.request_headers import header_values

_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_HEADERS = (b"x-request-id", b"request-id")
"""The headers that clients of OpenAI's and of Anthropic's API read."""

STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
"""The messages with the headers of an answer."""


def id_of(scope: Scope) -> str:
    """Return the id of a request: that in the header `X-Request-ID` if it is valid (1 to 128 letters, digits and
    `._:/+=@-`), or else a new one.

    Args:
        scope: The request.
    """
    ids = header_values(scope, b"x-request-id")
    if len(ids) == 1 and _ID.fullmatch(ids[0]):
        return ids[0]
    return f"req_{secrets.token_hex(12)}"


def with_id(send: Send, id: str) -> Send:
    """Return a function that sends an answer with the id of its request.

    Args:
        send: Sends the answer.
        id: The id.
    """

    def send_with_id(message: Message) -> Awaitable[None]:
        if message["type"] in STARTS:
            others = [pair for pair in message.get("headers", ()) if pair[0] not in _HEADERS]
            message["headers"] = [*others, *((name, id.encode()) for name in _HEADERS)]
        return send(message)  # not a coroutine of its own, since each event of a stream takes this way

    return send_with_id
