"""The message that a watcher gets."""

from typing import Any

from miniagents.messages import Message, register_value_type
from miniagents.supervision import StopReason

register_value_type(StopReason)  # it travels in a field that takes exceptions, too


class Terminated(Message):
    """An actor that is watched has ended for good.

    Attributes:
        ref: The actor.
        reason: Its stop reason: a `StopReason`, or the exception that it crashed with.
    """

    ref: Any
    reason: Any
