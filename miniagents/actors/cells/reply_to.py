"""`ReplyTo`: the answer to a question that an actor gives later."""

from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from miniagents.actors.cells.absent import cell_of
from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.envelope import Envelope
from miniagents.actors.messaging.ref import ActorRef
from miniagents.log import log as _log
from miniagents.messages import Message
from miniagents.promising import Promise
from miniagents.promising.tracebacks import traceback_text
from miniagents.promising.work import Endings
from miniagents.supervision.checking import check_function


class ReplyTo:
    """An answer that is given later, once, with `reply`. If the actor ends before, the asker gets `ActorStoppedError`.

    Example:
        >>> class Slow(Actor):
        ...     async def receive(self, message, ctx):
        ...         reply_to = ctx.reply_later()
        ...         work = ctx.create_task(self.work(message, reply_to))
        ...         reply_to.on_cancel(lambda reason: work.cancel())
        ...     async def work(self, message, reply_to):
        ...         reply_to.reply(TextMessage(f"{message} is done"))
        >>> async with ActorSystem() as system:
        ...     print(await system.spawn(Slow).ask(TextMessage("work")))
        work is done
    """

    __slots__ = ("_ask", "_attempt", "_cancelled", "_envelope", "_reason", "_receiver")

    def __init__(self, envelope: "Envelope | Ask[Any]", receiver: ActorRef) -> None:
        self._ask: Ask[Any] | None = envelope.ask
        self._cancelled: Promise[Any] | None = None
        self._envelope = envelope
        self._attempt = envelope.crashes
        self._reason: object = None
        self._receiver = receiver

    @property
    def is_open(self) -> bool:
        """True while the asker waits for the answer, and this attempt is the one that may give it."""
        return self._ask is not None and self._attempt == self._envelope.crashes and not self._ask.done()

    @property
    def cancelled(self) -> Promise[Any]:
        """The promise of the reason for which nobody waits for the answer any more.

        The reason is the argument of `cancel`, or "cancelled", or the `AskTimeoutError` of a deadline that has passed.
        It is None if the ask has ended in another way: by an answer, or with the actor.
        """
        if self._cancelled is None:
            self._cancelled = Promise()
            if self._reason is not None or self._ask is None:
                self._cancelled.resolve(self._reason)
            else:
                self._ask.add_done_callback(self._ended)
        return self._cancelled

    def on_cancel(self, callback: Callable[[Any], object]) -> None:
        """Call `callback(reason)` once when nobody waits for the answer any more; see `cancelled`.

        The callback is called within the `cancel` itself, or now if the ask was cancelled before. An exception that it
        raises is logged. `aclose` also waits for tasks of `ctx.create_task` that the callback cancels.
        """
        check_function(f"{self._receiver.path}: on_cancel(callback=)", callback)
        context = copy_context()

        def tell(cancelled: Promise[Any]) -> None:
            if cancelled.exception() is None and cancelled.result() is not None:
                try:
                    context.run(callback, cancelled.result())
                except Exception as error:
                    path, stack = self._receiver.path, traceback_text(error)
                    _log.error("call.on_cancel_failed", actor=path, error=repr(error), stack=stack)

        self.cancelled.add_done_callback(tell)

    def reply(self, answer: Message | BaseException | None) -> None:
        """Give the answer; an exception is raised at the asker. A second one is a dead letter."""
        if self.is_open and self._ask is not None:
            self._ask.answer(answer)
        else:
            cell: Any = cell_of(self._receiver)
            letter = Envelope(answer, self._receiver, None, None, self._envelope.correlation_id, None, 0.0)
            receiver = self._envelope.sender or self._receiver
            cell.system.dead_letters.add(DeadLetterReason.REPLIED_TWICE, letter, receiver)

    def _ended(self, _: Promise[Any]) -> None:
        # Later, since whoever cancels says why as soon as the ask has ended.
        cell_of(self._receiver).system.loop.call_soon(self._resolve, None)

    def _resolve(self, reason: object) -> None:
        if self._cancelled is not None:
            self._cancelled.resolve(reason)

    def is_over(self) -> bool:
        """Return True if the answer was given; see `Cancellable`."""
        return not self.is_open

    def cancel_alone(self, reason: object, endings: Endings) -> tuple[()]:
        """Tell whoever is to answer: see `Cancellable`."""
        if self._reason is None:
            cell: Any = cell_of(self._receiver)
            cancelled_before = cell.cancelled_tasks()
            self._reason = reason if reason is not None else "cancelled"
            self._resolve(self._reason)
            for task in cell.cancelled_tasks():
                if task not in cancelled_before:
                    endings[task] = cell  # by a callback of `on_cancel`
        return ()
