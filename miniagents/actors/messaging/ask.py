"""Asks: the promise of an answer, with exactly one ending."""

import asyncio
from collections.abc import Collection, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from miniagents.actors.messaging.envelope import Envelope
from miniagents.actors.waiting.deadlock import Node, cycle_through
from miniagents.errors import ActorStoppedError, AskTimeoutError, NotSendableError
from miniagents.messages.sendable import hint
from miniagents.promising import Promise
from miniagents.promising.failures import SEEN
from miniagents.promising.promise import NO_VALUE
from miniagents.promising.scope import PromisingContext, get_scope
from miniagents.promising.work import Cancellable, Endings, end_all

if TYPE_CHECKING:
    from miniagents.actors.messaging.ref import ActorRef
    from miniagents.actors.ports import Cell

T = TypeVar("T")


class CallOfAgent(Protocol):
    """The call of an agent that an ask has become."""

    @property
    def replies(self) -> Promise[Any]:
        """The promise of its replies."""

    def expire(self) -> None:
        """End it, since the deadline of the ask has passed."""


class Ask(Promise[T]):
    """The promise of an actor's answer, and at the same time the envelope of the question.

    Args:
        cell: The actor that is asked.
        message: The question.
        asker: The interaction or serial actor that asks, or None from outside.
        sender: As of an `Envelope`; so are `deadline`, `correlation_id`, `trace` and `at`.

    Attributes:
        own_timeout: Whether its deadline is its own, and not one that it inherited.
        behind: The call of an agent that the question became, if the asked actor is an agent.
    """

    __slots__ = (
        "_asker",
        "_timer",
        "at",
        "behind",
        "cell",
        "correlation_id",
        "crashes",
        "deadline",
        "message",
        "own_timeout",
        "sender",
        "taken",
        "trace",
    )

    def __init__(
        self,
        cell: "Cell",
        message: object,
        asker: "Node | None" = None,
        sender: "ActorRef | None" = None,
        deadline: float | None = None,
        correlation_id: int = 0,
        trace: object = None,
        at: float = 0.0,
    ) -> None:
        # What Promise.__init__ does, written out: one call less for each ask (benchmark `ask_concurrent`).
        self.settled_value: Any = NO_VALUE
        self.settled_error: BaseException | None = None
        self.waiters = None
        self.callbacks = None
        self.producer = cell if cell.is_serial else None
        self._task = None
        self._unseen = None
        self._resolver = None
        self._scope = None
        self.started_work = None
        self.cell = cell
        self.message: Any = message
        self._asker = asker
        self.own_timeout = False
        self.sender = sender
        self.deadline = deadline
        self.correlation_id = correlation_id
        self.trace = trace
        self.at = at
        self.crashes = 0
        self.taken = False
        self.behind: CallOfAgent | None = None
        self._timer: asyncio.TimerHandle | None = None

    begins_by_itself = True

    @property
    def ask(self) -> "Ask[T]":
        """Itself: it is the envelope, too."""
        return self

    @property
    def envelope(self) -> Envelope:
        """The same as an `Envelope`, for whoever wants to look at it."""
        return Envelope(
            self.message,
            self.sender,
            self,
            self.deadline,
            self.correlation_id,
            self.trace,
            self.at,
            self.crashes,
            self.taken,
        )

    def limit(self, timeout: float | None, loop: asyncio.AbstractEventLoop) -> bool:
        """Let it end with `AskTimeoutError` after `timeout` seconds, or at the deadline that it inherited.

        Returns:
            Whether it is to be sent at all: after an inherited deadline nothing is.
        """
        deadline = self.deadline
        now = loop.time()
        if timeout is not None and (deadline is None or now + timeout <= deadline):
            self.deadline = deadline = now + timeout
            self.own_timeout = True
        assert deadline is not None  # test: test_a_nested_ask_inherits_the_deadline
        if deadline > now:
            self._timer = loop.call_at(deadline, self._expire)
            return True
        loop.call_soon(self._expire)  # a deadline that has passed ends it at the next turn
        self.taken = not self.own_timeout
        return self.own_timeout

    def answer(self, result: object) -> None:
        """End it with what a handler returned or replied: an exception is raised at the asker."""
        if self._timer is not None:
            self._timer.cancel()
        if result is None or hasattr(result.__class__, "__message_fields__"):  # a Message
            if self.settled_value is NO_VALUE and self.settled_error is None:
                self.settled_value = result
                if self.waiters is None and self.callbacks is None and self.started_work is None:
                    self.producer = None  # all that there is to settle: the usual case (benchmark `ask`)
                else:
                    self._settled()
        elif isinstance(result, BaseException):
            self.reject(result)
        else:
            started = self._all_started()  # the promise of an answer, perhaps, for which nobody waits now
            self.reject(
                NotSendableError(
                    f"{self.cell.path}: answered with a {type(result).__name__}, {result!r}; an answer is a Message, "
                    f"None or an exception{'; await it first' if hasattr(result, '__await__') else hint(result)}"
                )
            )
            end_all(*started, reason="what was answered cannot be sent")

    def fail(self, error: BaseException) -> None:
        """End it with an error, if it has not ended."""
        if self._timer is not None:
            self._timer.cancel()
        self.reject(error)

    def hung(self, error: BaseException) -> None:
        """End it with the error of a handler that was cancelled and does not end."""
        self.fail(error)

    def became(self, call: Any) -> None:
        """Note that the question became the call of an agent, which is cancelled with this ask."""
        self.behind = call
        if not self.cell.is_serial:
            self.producer = call
        self.owns(call)

    def held_by(self, at: int | None) -> tuple[bool, Collection[Any]] | None:
        cell, call = self.cell, self.behind
        if not self.taken:
            return (True, (cell,)) if cell.is_serial else None
        if not cell.is_serial:
            return None if call is None else (True, ((call.replies, None),))
        # An answer that is owed may come from anywhere.
        return (True, (cell,)) if cell.current is self and not getattr(cell, "_replied", False) else None

    def end_cycle(self, error: BaseException) -> bool:
        """Fail, since to wait for the answer would close a cycle.

        Returns:
            True: the ask has settled.
        """
        self.fail(error)
        self.cell.withdraw(self)
        return True

    def stopped(self, reason: object, cause: BaseException | None = None) -> None:
        """End it because the actor ended, for `reason`; see `stopped_before_answer`."""
        if not self.done():
            self.fail(stopped_before_answer(self.cell.path, reason, cause))

    def __await__(self) -> Generator[Any, Any, T]:
        if (
            self.settled_value is NO_VALUE
            and self.settled_error is None
            and (self._timer is not None or self.deadline is None)
        ):
            scope: Any = get_scope()
            if scope is None or not scope.is_node or scope.keeps_asks:
                # Somebody outside of the actors waits: as long as the loop need not turn for it, it does not. A failure
                # is received here and now then, so that nothing need watch over it (benchmark `crash`).
                unseen, self._unseen = self._unseen, SEEN
                self.cell.system.dispatcher.helpers.run_ready()
                if self.settled_error is None:
                    self._unseen = unseen
        if self.settled_error is None and self.settled_value is not NO_VALUE:
            return self.settled_value  # type: ignore[no-any-return]
        try:
            return (yield from Promise.__await__(self))
        finally:
            del self  # else the ask, its error and this frame would be a cycle

    def run_ready(self) -> bool:
        if self._timer is None and self.deadline is not None:
            return False
        scope: Any = get_scope()  # the rest is as in `__await__`, which writes it out (benchmark `ask`)
        return (
            scope is None or not scope.is_node or scope.keeps_asks
        ) and self.cell.system.dispatcher.helpers.run_ready()

    def event_loop(self) -> asyncio.AbstractEventLoop:
        return self.cell.system.loop

    def _context(self) -> PromisingContext:
        return self.cell.system  # type: ignore[return-value]  # every system is one

    def _expire(self) -> None:
        self._timer = None  # it leads back to here
        if self.done():
            return
        cell = self.cell
        cycle = cycle_through(self._asker, self) if self._asker is not None else ()
        held = f"; it was held up by a cycle: {' -> '.join(cycle)}" if cycle else ""
        error = AskTimeoutError(f"{cell.path}: no answer in time{held}", path=cell.path, ring=cycle)
        started = self._all_started()
        self.reject(error)
        cell.ask_expired(self)
        if started:
            end_all(*started, reason=error, expired=True)

    def _all_started(self) -> list[Cancellable]:
        return self.cell.all_started(super()._all_started())

    def _cancel_work(self, reason: object, endings: Endings) -> None:
        if self._timer is not None:
            self._timer.cancel()
        handled = self.cell.ask_cancelled(self)
        if handled is not None:
            endings[handled] = self.cell


def follow(ask: Ask[Any], first: Any) -> None:
    """End an ask as another one, `first`, has ended."""
    if first.settled_error is not None:
        ask.fail(first.settled_error)
    else:
        ask.answer(first.settled_value)


def stopped_before_answer(path: str, reason: object, cause: BaseException | None = None) -> ActorStoppedError:
    """Return the error of a question whose actor ended before it answered.

    Args:
        path: The path of the actor.
        reason: The reason of its end; an exception is the cause of the error, too.
        cause: The cause, where it is another one: the failure of the start.
    """
    error = ActorStoppedError(f"{path}: stopped ({reason!r}) before it answered", path=path, reason=reason)
    error.__cause__ = cause if cause is not None else reason if isinstance(reason, BaseException) else None
    return error
