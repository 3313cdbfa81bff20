"""Server-sent events, as text/event-stream carries them."""

from typing import Any

import msgspec

DONE = b"data: [DONE]\n\n"
"""What ends a stream of OpenAI's chat completions."""

PING = b": ping\n\n"
"""A comment: it keeps a connection open, and clients skip it."""


def sse(data: Any, event: str | None = None, event_id: str | None = None) -> bytes:
    """One event.

    Args:
        data: What it says; it goes out as JSON, which has no newlines.
        event: Its type, one line.
        event_id: Its id, one line.
    """
    head = (f"id: {event_id}\n" if event_id else "") + (f"event: {event}\n" if event else "")
    return b"%sdata: %s\n\n" % (head.encode(), msgspec.json.encode(data))
