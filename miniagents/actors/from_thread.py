"""`FromThread`: tells, asks and calls from other threads than the event loop's."""

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from miniagents.actors.messaging.ref import ActorRef
from miniagents.errors import SystemNotRunningError, WrongThreadError
from miniagents.messages import Message
from miniagents.promising import Promise
from miniagents.promising.failures import log_failure

if TYPE_CHECKING:
    from miniagents.actors.ports import System


class FromThread:
    """Calls from other threads. Each returns a `concurrent.futures.Future`, or waits until the message is put.

    Args:
        system: The system.

    Example:
        >>> class Echo(Actor):
        ...     async def receive(self, message, ctx):
        ...         return message
        >>> async with ActorSystem() as system:
        ...     echo = system.spawn(Echo)
        ...     future = await asyncio.to_thread(system.from_thread.ask, echo, TextMessage("hello"))
        ...     print(await asyncio.wrap_future(future))
        hello
    """

    __slots__ = ("_system",)

    def __init__(self, system: "System") -> None:
        self._system = system

    def tell(self, ref: ActorRef, message: Message) -> None:
        """Like `ref.tell`; returns when the message is in the mailbox, and raises what `tell` raises."""
        self._submit(lambda: ref.tell(message)).result()

    def ask(self, ref: ActorRef, message: Message, *, timeout: float | None = None) -> "concurrent.futures.Future[Any]":
        """Like `ref.ask`, as a future of this thread."""
        return self._submit(lambda: ref.ask(message, timeout=timeout))

    def _submit(self, function: Callable[[], Any]) -> "concurrent.futures.Future[Any]":
        system = self._system
        if threading.get_ident() == system.thread_id:
            raise WrongThreadError("system.from_thread is for other threads; in the system's own, call it directly")
        if not system.is_running:
            raise SystemNotRunningError(f"system {system.name!r} is not running")

        future = ThreadFuture()
        loop = system.loop

        def begin() -> None:
            task = loop.create_task(_outcome(function, future))
            task.add_done_callback(lambda one: future.cancel() if one.cancelled() else None)  # also if it never ran
            future.add_done_callback(lambda one: loop.call_soon_threadsafe(task.cancel) if one.cancelled() else None)

        loop.call_soon_threadsafe(begin)
        return future


class ThreadFuture(concurrent.futures.Future[Any]):
    """The result of a call from another thread. Cancelling the future cancels the call and what the call has started. A
    failure that nobody has looked at is logged when the future is thrown away."""

    _was_looked_at = False

    def result(self, timeout: float | None = None) -> Any:
        """The result; see `concurrent.futures.Future`."""
        try:
            return super().result(timeout)
        finally:
            self._was_looked_at = self._was_looked_at or self.done()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The exception; see `concurrent.futures.Future`."""
        try:
            return super().exception(timeout)
        finally:
            self._was_looked_at = self._was_looked_at or self.done()

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:  # modules are gone at the end
        if not self._was_looked_at and self.done() and not self.cancelled() and not is_finalizing():
            error = self.exception()
            if error is not None:
                log_failure("from_thread.failed_unawaited", error)


async def _outcome(function: Callable[[], Any], future: ThreadFuture) -> None:
    """Make a call, and tell its future what comes of it."""
    result: Any = None
    value: object = None
    failure: BaseException | None = None
    try:
        result = function()
        value = await result if hasattr(result, "__await__") else result
    except asyncio.CancelledError:
        if isinstance(result, Promise):
            result.cancel("its caller in another thread waits no more")
        raise
    except BaseException as error:  # it belongs to whoever looks at the future
        trace = error.__traceback__
        failure = error.with_traceback(trace.tb_next if trace is not None else None)  # this frame holds the future
    try:
        if failure is not None:
            future.set_exception(failure)
        else:
            future.set_result(value)
    except concurrent.futures.InvalidStateError:
        pass  # it was cancelled in this moment
