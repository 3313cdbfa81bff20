"""Message observers, which see every message object of a system once, parts before wholes."""

import inspect
from collections.abc import Awaitable, Callable, Iterable

from miniagents.log import log as _log
from miniagents.messages import Message
from miniagents.messages.frozen import FrozenDict
from miniagents.promising import PromisingContext
from miniagents.promising.tracebacks import traceback_text

PersistHandler = Callable[[Iterable[Message]], Awaitable[None]]
"""An async function that gets a batch of messages."""

_SEEN = "_persisted_by"


class MessageObservers:
    """Collects the messages of a system and gives them to handlers in batches, one batch after the other.

    Args:
        system: The system, which runs the handlers.
    """

    __slots__ = ("_batch", "_handlers", "_runs", "_system")

    def __init__(self, system: PromisingContext) -> None:
        self._system = system
        self._handlers: list[PersistHandler] = []
        self._batch: list[Message] = []
        self._runs = False

    def add_handler(self, handler: PersistHandler) -> None:
        """Call `handler` with every batch.

        Raises:
            TypeError: `handler` is no async function.
        """
        if not inspect.iscoroutinefunction(handler) and not inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 - it is looked at, not called
        ):
            raise TypeError(f"on_persist_messages takes an async function of an iterable of messages, not {handler!r}")
        self._handlers.append(handler)

    def add(self, message: Message) -> None:
        """Put a message and its parts into the next batch, each unless it has been in one before."""
        self._collect(message)
        if self._batch and not self._runs:
            self._runs = True
            self._system.start_soon(self._hand_on(), on_cancelled=self._rests)

    def _collect(self, value: object) -> None:
        if isinstance(value, Message):
            seen = value.__dict__
            if seen.get(_SEEN) is self:
                return
            seen[_SEEN] = self
            for name in value.__struct_fields__:
                self._collect(getattr(value, name))
            self._batch.append(value)
        elif isinstance(value, FrozenDict):
            for part in value.values():
                self._collect(part)
        elif isinstance(value, (tuple, frozenset)):
            for part in value:
                self._collect(part)

    async def _hand_on(self) -> None:
        try:
            while self._batch:
                batch, self._batch = self._batch, []
                for handler in self._handlers:
                    try:
                        await handler(tuple(batch))
                    except Exception as error:
                        _log.error("persist.handler_failed", messages=len(batch), stack=traceback_text(error))
        finally:
            self._rests()

    def _rests(self, cancelled: object = None) -> None:
        self._runs = False
