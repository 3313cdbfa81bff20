"""Interruptions: how the runtime cancels the code of an actor that runs, and what the end of that code then means.

The code may be cut off because the actor is to end, because its ask was cancelled, because a handler has run for longer
than its `handler_timeout`, or because the children of the actor have failed too often. Code that swallows its
cancellation is cancelled again each second, and abandoned when the system ends.
"""

import asyncio
import enum
from contextvars import Context
from typing import TYPE_CHECKING, Any

from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.hang_watch import HangWatch
from miniagents.actors.cells.resources import ResourceCell
from miniagents.actors.dispatch.workers import stack_of_worker
from miniagents.actors.messaging.entries import ENVELOPES
from miniagents.actors.messaging.options import Props
from miniagents.actors.messaging.outcome import Outcome
from miniagents.actors.observing.events import EventKind
from miniagents.errors import HandlerTimeoutError
from miniagents.log import log as _log
from miniagents.promising.abandoning import INSIST_EVERY, log_abandoned
from miniagents.promising.failures import mark_logged
from miniagents.promising.work import end_all
from miniagents.supervision import StopReason
from miniagents.supervision.lifecycle import CLEANUP, DOOMED, ENDING, NO_WISH, STARTING, UP, Event, Wish

if TYPE_CHECKING:
    from miniagents.actors.cells.cell_ports import System


class Interruption(enum.Enum):
    """The reason for which the runtime cancels the code that runs."""

    STOP = "stop"
    HANG = "hang"
    CANCEL = "cancel"
    SUSPEND = "suspend"
    CRASH = "crash"


STOP, HANG, CANCEL, SUSPEND, CRASH = Interruption


class InterruptibleCell(ResourceCell):
    """A cell whose code can be interrupted.

    Attributes:
        context: The context that its code runs in; None where there is none to keep.
    """

    __slots__ = ("_ctx", "_done_waiters", "_failure", "_instance", "_interruption", "context")

    def __init__(self, system: "System", parent: Cell | None, name: str, props: Props) -> None:
        super().__init__(system, parent, name, props)
        self._instance: Any = None
        self._ctx: object = None  # of the instance
        self.context: Context | None = None
        self._interruption: Interruption | None = None
        self._failure: BaseException | None = None  # what a doomed instance crashes with
        self._done_waiters: list[asyncio.Future[None]] | None = None

    def _explain(self, error: BaseException) -> BaseException:
        """The error that the outside sees."""
        cause, self._interruption = self._interruption, None
        failure, self._failure = self._failure, None
        if cause is CRASH and failure is not None:
            return failure
        if cause is HANG:
            hang = self._hang_error()
            hang.__cause__ = None if isinstance(error, asyncio.CancelledError) else error
            return hang
        if (cause is STOP or cause is SUSPEND) and isinstance(error, asyncio.CancelledError):
            return self.stopped_error()
        return error

    def _hang_error(self) -> HandlerTimeoutError:
        seconds = self.props.handler_timeout
        return HandlerTimeoutError(
            f"{self.path}: ran for longer than its handler_timeout of {seconds} s", path=self.path
        )

    def crash(self, error: BaseException) -> None:
        """Crash with `error`, now: the supervision of its children is used up."""
        if self._failure is None and self.life.phase in (UP, STARTING):
            self._failure = error
            self.apply(Event.FAIL)

    def _runs_code(self) -> bool:
        """Return True if the turn waits for code of the user."""
        phase = self.life.phase
        if phase is UP or phase is DOOMED:
            return self.current is not None
        return phase is STARTING or phase is CLEANUP

    def interrupt(self) -> None:
        """Cancel the code that runs, and do so again in a second if that is swallowed."""
        wish = self.life.wish
        why = SUSPEND if wish is Wish.SUSPEND else CRASH if self._failure is not None and wish < Wish.STOP else STOP
        if self._swallows_cancel(why):
            _log.warning("actor.swallows_cancel", actor=self.path)
        self._interrupt(why)
        super().interrupt()

    def _swallows_cancel(self, why: Interruption) -> bool:
        """Return True if the code runs on a second after it was cancelled, for this reason or for another."""
        task = self.task
        if self._interruption is None or task is None or not self._runs_code():
            return False
        return self._interruption is why or self.system.time() >= task.interrupted_at + INSIST_EVERY

    def _interrupt(self, why: Interruption) -> None:
        if self._runs_code() and self.task is not None:
            if self._interruption is None or why is STOP:
                self._interruption = why
            # Before, since a handler that was told to end waits for nothing any more.
            started = self.started_for(self.current) if why is not CANCEL else ()
            self.task.interrupt()
            if started:
                end_all(*started, reason=self.stopped_error())

    def crash_under_way(self) -> "asyncio.Future[None] | None":
        """A future of the moment when a crash whose `on_stop` still runs has become an exit; None if there is none."""
        if self.life.wish is NO_WISH and self.life.phase in (ENDING, CLEANUP):
            return self._when_done()
        return None

    def interrupt_current(self) -> "asyncio.Future[None] | None":
        """Interrupt the handler of the message in hand, whose ask was cancelled; the instance lives."""
        if not self._runs_code() or self.task is None or asyncio.current_task() is self.task:
            return None
        done = self._when_done()
        self._interrupt(CANCEL)
        return done

    def _when_done(self) -> "asyncio.Future[None]":
        """A future of the moment when the handler or the instance is done."""
        done = self.system.loop.create_future()
        if self._done_waiters is None:
            self._done_waiters = []
        self._done_waiters.append(done)
        return done

    @property
    def told_to_end_at(self) -> float | None:
        """The time on `loop.time()` when its code was cancelled; None if it was not, or still has time to shut down."""
        cause, life = self._interruption, self.life
        must_end = cause is STOP or cause is SUSPEND or life.wish < Wish.DRAIN or life.brutal
        return self.task.interrupted_at if cause is not None and must_end and self._runs_code() else None

    @property
    def is_unwanted(self) -> bool:
        """True if the code works for an ask that has ended, and was not told to end."""
        current = self.current
        ask = current.ask if current.__class__ in ENVELOPES else None
        is_over = ask is not None and ask.done() and not self._replied
        return is_over and self.life.phase is UP and self.life.wish < Wish.STOP

    def end_unwanted(self) -> None:
        """The system ends, and has waited for that code for long enough: it gets the time to shut down."""
        self.terminate()

    def abandon(self) -> None:
        """The system ends, and its code swallows that: it ends without it, after its children."""
        worker = self.task
        log_abandoned(stack_of_worker(worker), actor=self.path)
        self.system.dispatcher.abandon(worker)
        if self.reason is None:
            self.reason = StopReason.SHUTDOWN  # its code was cancelled for another reason than its end
        self.apply(Event.ABANDON)
        self.system.start_soon(self._end_without_its_code())

    async def _end_without_its_code(self) -> None:
        reason = self.reason
        assert reason is not None  # that of what asked for its end
        envelope = self.envelope
        if envelope is not None:
            if envelope.ask is not None:
                envelope.ask.stopped(reason)
            if self.inbox is not None:
                self.acknowledge(envelope, Outcome.CUT_OFF)
        self._instance = self._ctx = self.context = None
        await self._drop_belongings(reason)
        self.apply(Event.GONE)

    def _tell_done(self) -> None:
        waiters, self._done_waiters = self._done_waiters, None
        if waiters:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _watch_for_hang(self) -> HangWatch:
        assert self.props.handler_timeout is not None
        return HangWatch(self.system.loop, self.props.handler_timeout, self)

    def hangs(self) -> None:
        """Cancel the code: it has run for longer than its `handler_timeout`."""
        if self._runs_code():
            self.system.events.publish(EventKind.HANG, self.path, actor=self)
            self._interrupt(HANG)

    def still_hangs(self) -> None:
        """Fail the ask in hand, whose handler has swallowed that cancellation, and cancel the code again."""
        if not self._runs_code():
            return
        envelope = self.envelope
        ask = envelope.ask if envelope is not None else None
        if ask is not None:
            error = self._hang_error()
            mark_logged(error)  # the crash reports it, when the handler ends
            ask.hung(error)
        if self.life.brutal or self._failure is not None:
            return  # it must end for another reason, too, and is cancelled each second for that
        _log.warning("actor.swallows_cancel", actor=self.path)
        self._interrupt(HANG)
