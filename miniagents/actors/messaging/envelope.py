"""Envelopes: a message on its way, with all that travels beside it."""

import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from miniagents.errors import InvalidOptionError, NotSendableError
from miniagents.messages.sendable import hint
from miniagents.promising.work import Cancellable, with_one_more

if TYPE_CHECKING:
    from miniagents.actors.messaging.ref import ActorRef

_ids = itertools.count(1)


class Envelope(msgspec.Struct, eq=False):
    """A message on its way to one actor.

    An `Envelope` is one of the kinds of entries of a mailbox; see `miniagents.actors.messaging.entries`.

    Attributes:
        message: The message.
        sender: The actor that sent it, or None from outside.
        ask: The `Ask`, or the call of an agent, that wants the answer; None for a message that wants none.
        deadline: When the work for it is to be over, on `loop.time()`, or None.
        correlation_id: One number for everything that one message from outside sets off.
        trace: The trace context (a W3C `traceparent`, or what a tracer puts here), or None.
        at: When it was put into the mailbox, on `loop.time()`.
        crashes: How many times it has crashed its actor.
        taken: Whether it has left the mailbox.
        message_id: Its own number, unique in this process.
    """

    message: Any
    sender: "ActorRef | None" = None
    ask: Any = None
    deadline: float | None = None
    correlation_id: int = 0
    trace: object = None
    at: float = 0.0
    crashes: int = 0
    taken: bool = False
    _message_id: int = 0
    started_work: Any = None  # what its handler has started; an ask keeps that itself

    @property
    def message_id(self) -> int:
        """The number of the message, unique in this process. The first use gives it out: most messages need none."""
        if not self._message_id:
            self._message_id = next(_ids)
        return self._message_id

    def owns(self, work: Cancellable) -> None:
        """Note that the handler of the message has started `work`."""
        self.started_work = with_one_more(self.started_work, work)

    def __repr__(self) -> str:
        return f"Envelope({self.message!r}, sender={self.sender!r})"


def not_sendable(path: str, message: object) -> NotSendableError:
    """The error of whoever sends an actor something that is no `Message`."""
    return NotSendableError(
        f"{path}: an actor takes Messages, not {type(message).__name__} ({message!r})"
        f"{hint(message) or '; wrap it, for example in TextMessage or DataMessage'}"
    )


def check_message_id(path: str, message_id: object) -> None:
    """Check the id under which a sender sends a message.

    Args:
        path: The path of the actor that it is for.
        message_id: The id.

    Raises:
        InvalidOptionError: The id is no text, or is empty.
    """
    if not isinstance(message_id, str) or not message_id:
        raise InvalidOptionError(f"{path}: message_id= is a text that is not empty, not {message_id!r}")


new_correlation_id = _ids.__next__
"""A number for a message from outside and all that it sets off."""
