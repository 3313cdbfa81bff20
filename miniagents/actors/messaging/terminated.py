"""The message that a watcher gets."""

from typing import Any

from miniagents.messages import Message, register_value_type
from miniagents.supervision import StopReason

register_value_type(StopReason)  # it travels in a field that takes exceptions, too


class Terminated(Message):
    """The message that a watched actor has ended for good.

    Attributes:
        ref: The actor.
        reason: The stop reason: a `StopReason`, or the exception that it crashed with.

    Example:
        >>> class Watcher(Actor):
        ...     def __init__(self, watched):
        ...         self.watched = watched
        ...     async def on_start(self, ctx):
        ...         ctx.watch(self.watched)
        ...     async def receive(self, message, ctx):
        ...         if isinstance(message, Terminated):
        ...             print(message.ref.path, message.reason)
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     idle = system.spawn(Idle, name="idle")
        ...     await system.spawn(Watcher, watched=idle).started()
        ...     reason = await idle.stop()
        /idle StopReason.SHUTDOWN
    """

    ref: Any
    reason: Any
