"""`Limits`: the limits of a service."""

from dataclasses import dataclass

from miniagents.errors import InvalidOptionError

_COUNTS = (
    "body",
    "reply",
    "messages",
    "socket",
    "elements",
    "depth",
    "concurrent",
    "kept_bytes",
    "conversation_messages",
    "conversation_bytes",
)
"""The limits that are 1 or more, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The sizes, numbers and times that a service allows.

    Args:
        body: Bytes of the body of a request, and of a WebSocket frame, 1 or more. More is a 413.
        body_timeout: Seconds until the body of a request, or the first frame of a WebSocket, must have arrived, more
            than 0; None for no limit. Later is a 408.
        send_timeout: Seconds for which a client may read nothing of a stream, more than 0; None for no limit. After
            that, or up to a second later, the client counts as disconnected.
        reply: Bytes of the replies to one request, 1 or more; None for no limit. Each piece and each message counts as
            its text plus 100 bytes. With more, the call is cancelled, and the answer is a 500.
        ahead: Bytes of the replies that may wait for a client which does not read, 0 or more, counted as for `reply`.
            With more, the streams below the call pause until the client has read.
        messages: Messages of one request, and of one WebSocket call, 1 or more. More is a 400.
        socket: Bytes that arrive over one WebSocket in total, 1 or more. More is a 413.
        elements: Elements of the JSON of a request, 1 or more: commas, colons and opening brackets. More is a 400.
        depth: The nesting of the JSON of a request, 1 or more. Deeper is a 400.
        concurrent: Requests of one key at once, 1 or more; None for no limit. More is a 429.
        request_timeout: Seconds for one request, more than 0; None for no limit. The header `X-Request-Timeout` can
            only shorten it. Afterwards the call is cancelled, and the answer is a 504.
        keep: Seconds for which a stream may outlive its connection if the client asks for that, 0 or more.
        kept: The number of such streams of one key at once, 0 or more. More is a 429.
        kept_bytes: Bytes of such streams of one key, counted as for `reply`, 1 or more. More bytes remove the oldest
            streams that have ended and have no reader; if that is not enough, another stream is a 429.
        head_wait: Seconds to wait for the first event of a stream, 0 or more, so that an early failure has a status of
            its own. After that, or up to a second later, the response begins with a 200, and a failure is an event.
        conversation_messages: Messages of a conversation, 1 or more. A request that would exceed the limit is a 409,
            before its agent is called. The replies to the last request (see `reply`) may exceed it.
        conversation_bytes: Bytes of a saved conversation, 1 or more; works as `conversation_messages`. Only `body`
            limits the first request of a conversation.
        instances: Instances of class agents that idle conversations of one key have, 0 or more. One more passivates the
            least recently used instance.
        conversation_waiting: Requests of one conversation that wait for their turn, 0 or more. More is a 429.
        ping: Seconds without an event after which, or up to a second later, a stream sends a comment, more than 0, so
            that proxies keep it open.

    Raises:
        InvalidOptionError: A limit is outside its range.

    Example:
        >>> Limits(body=1024).body
        1024
        >>> Limits(ping=0.0)
        Traceback (most recent call last):
        miniagents.errors.InvalidOptionError: Limits(ping=) must be more than 0 s, not 0.0
    """

    body: int = 8 * 1024 * 1024
    body_timeout: float | None = 60.0
    send_timeout: float | None = 60.0
    reply: int | None = 16 * 1024 * 1024
    ahead: int = 256 * 1024
    messages: int = 1000
    socket: int = 16 * 1024 * 1024
    elements: int = 15_000
    depth: int = 64
    concurrent: int | None = 1000
    request_timeout: float | None = 600.0
    keep: float = 300.0
    kept: int = 1000
    kept_bytes: int = 64 * 1024 * 1024
    head_wait: float = 5.0
    conversation_messages: int = 1000
    conversation_bytes: int = 16 * 1024 * 1024
    instances: int = 100
    conversation_waiting: int = 16
    ping: float = 15.0

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidOptionError(f"Limits({name}=) must be 1 or more, not {value!r}")
        for name in ("body_timeout", "send_timeout", "request_timeout", "ping"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidOptionError(f"Limits({name}=) must be more than 0 s, not {value!r}")
        for name in ("ahead", "keep", "kept", "head_wait", "instances", "conversation_waiting"):
            value = getattr(self, name)
            if not value >= 0:
                raise InvalidOptionError(f"Limits({name}=) must be 0 or more, not {value!r}")
