"""For code in other threads than the event loop's."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from miniagents.errors import SystemNotRunningError, WrongThreadError
from miniagents.messages import Message

if TYPE_CHECKING:
    from miniagents.actors.ref import ActorRef
    from miniagents.actors.system import ActorSystem


class FromThread:
    """Calls from other threads. Each returns a `concurrent.futures.Future`, or waits until the message is put.

    Args:
        system: The system.
    """

    __slots__ = ("_system",)

    def __init__(self, system: "ActorSystem") -> None:
        self._system = system

    def tell(self, ref: "ActorRef", message: Message) -> None:
        """Like `ref.tell`; returns when the message is in the mailbox, and raises what `tell` raises."""
        self._submit(lambda: ref.tell(message)).result()

    def ask(self, ref: "ActorRef", message: Message, *, timeout: float | None = None) -> Any:
        """Like `ref.ask`, as a future of this thread."""
        return self._submit(lambda: ref.ask(message, timeout=timeout))

    def _submit(self, function: Callable[[], Any]) -> "concurrent.futures.Future[Any]":
        system = self._system
        if threading.get_ident() == system.thread_id:
            raise WrongThreadError("system.from_thread is for other threads; in the system's own, call it directly")
        if not system.is_running:
            raise SystemNotRunningError(f"system {system.name!r} is not running")

        async def call() -> Any:
            result = function()
            return await result if hasattr(result, "__await__") else result

        return asyncio.run_coroutine_threadsafe(call(), system.loop)
