"""Envelopes: a message on its way, with all that travels beside it."""

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagents.actors.ask import Ask
    from miniagents.actors.ref import ActorRef

_ids = itertools.count(1)


class Envelope:
    """A message on its way to one actor.

    Attributes:
        message: The message.
        sender: The actor that sent it, or None from outside.
        ask: The promise to settle, or None for a message that wants no answer.
        deadline: When the work for it is to be over, on `loop.time()`, or None.
        correlation_id: One number for everything that one message from outside sets off.
        trace: The trace context (a W3C `traceparent`, or what a tracer puts here), or None.
        at: When it was put into the mailbox, on `loop.time()`.
        crashes: How many times it has crashed its actor.
        taken: Whether it has left the mailbox.
        message_id: Its own number, unique in this process.
    """

    __slots__ = (
        "_message_id",
        "ask",
        "at",
        "correlation_id",
        "crashes",
        "deadline",
        "message",
        "sender",
        "taken",
        "trace",
    )

    def __init__(
        self,
        message: Any,
        sender: "ActorRef | None",
        ask: "Ask[Any] | None",
        deadline: float | None,
        correlation_id: int,
        trace: object,
        at: float,
    ) -> None:
        self.message = message
        self.sender = sender
        self.ask = ask
        self.deadline = deadline
        self.correlation_id = correlation_id
        self.trace = trace
        self.at = at
        self.crashes = 0
        self.taken = False
        self._message_id = 0

    @property
    def message_id(self) -> int:
        """Its own number, unique in this process; given out when first asked for, since most messages need none."""
        if not self._message_id:
            self._message_id = next(_ids)
        return self._message_id

    def __repr__(self) -> str:
        return f"Envelope({self.message!r}, sender={self.sender!r})"


def new_correlation_id() -> int:
    """A number for a message from outside and all that it sets off."""
    return next(_ids)
