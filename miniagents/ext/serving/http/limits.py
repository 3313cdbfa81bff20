"""`Limits`: what a service takes from outside."""

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
"""What is 1 or more, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a service takes from outside, and for how long.

    Args:
        body: Bytes of a request's body, and of a WebSocket frame, 1 or more. More is a 413.
        body_timeout: Seconds in which a request's body must come, and a WebSocket's first frame, more than 0; None for
            no limit. Slower is a 408.
        send_timeout: Seconds for which a client may read nothing of a stream, more than 0; None for no limit. After
            that, or up to a second later, it counts as gone.
        reply: Bytes of what an agent replies to one request, 1 or more; None for no limit. Each piece and each message
            counts with its text and 100 bytes. With more the agent is cancelled, and the answer is a 500.
        ahead: Bytes of a reply that may wait for a client which does not read, 0 or more, counted in the same way. With
            more the streams below the call pause until it has read on.
        messages: Messages in one request, and in one WebSocket call, 1 or more. More is a 400.
        socket: Bytes that come over one WebSocket in all, 1 or more. More is a 413.
        elements: Elements of the JSON of a request, 1 or more: its commas, colons and opening brackets. More is a 400.
        depth: How deep the JSON of a request may be nested, 1 or more. Deeper is a 400.
        concurrent: Requests of one key at once, 1 or more; None for no limit. More is a 429.
        request_timeout: Seconds that a request may take, more than 0; None for no limit. `X-Request-Timeout` can only
            make it shorter. Afterwards the interaction is cancelled, and the answer is a 504.
        keep: Seconds for which a stream may outlive its connection where a client asks for that, 0 or more.
        kept: How many such streams of one key there are at once, 0 or more. More is a 429.
        kept_bytes: Bytes of such streams of one key, counted as `reply`, 1 or more. More push out the oldest that have
            ended and that nobody reads; if that is not enough, one more is a 429.
        head_wait: Seconds for which a stream's first event is waited for, 0 or more, so that an early failure has a
            status of its own. After that, or up to a second later, the response begins with a 200, and a failure is an
            event.
        conversation_messages: Messages of a conversation, 1 or more. A request with which it would become longer is a
            409, before its agent is called. What the agent replies in its last turn (see `reply`) comes on top.
        conversation_bytes: Bytes of a conversation, as it is saved, 1 or more. It is the same, save that the first
            request of a conversation is bounded by `body` alone.
        instances: Instances of class agents that conversations of one key have while nobody speaks in them, 0 or more.
            One more passivates that which was not used for longest.
        conversation_waiting: Requests of one conversation that wait for their turn, 0 or more. More is a 429.
        ping: Seconds of silence after which a stream sends a comment, or up to a second later, so that proxies keep it
            open; more than 0.

    Raises:
        InvalidOptionError: A limit is outside its range.
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
