"""The cell of an `Actor`: one message at a time, restarts behind the same mailbox, hooks, timers and tasks.

Its code runs in *turns*. A turn is a coroutine that a worker steps; it starts or ends the instance if that was asked
for, handles messages up to a quantum, and returns. Whatever the actor raises, a turn never raises.

Where the life of the actor is, and what an event means there, is the table's (`miniagents.supervision.lifecycle`). The
module is long because a turn is one piece: whoever reads how a message is handled has to see how it may fail.
"""

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Coroutine
from contextvars import Context
from sys import getrefcount
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import getweakrefcount

from miniagents.actors.cells.actor import Actor, ActorContext
from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.cell_state import IgnoreStart
from miniagents.actors.cells.interruptible_cell import CANCEL, CRASH, HANG, STOP, SUSPEND, InterruptibleCell
from miniagents.actors.dispatch.dispatcher import QUANTUM
from miniagents.actors.dispatch.workers import migrate
from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.entries import BARRIER, Enveloped, is_of_a_user
from miniagents.actors.messaging.envelope import Envelope
from miniagents.actors.messaging.options import Props
from miniagents.actors.messaging.outcome import Outcome, outcome_of
from miniagents.actors.observing.events import EventKind
from miniagents.errors import HandlerTimeoutError, PromiseCancelledError
from miniagents.log import log as _log
from miniagents.promising.failures import log_failure, logger_for, mark_logged
from miniagents.promising.promise import NO_VALUE
from miniagents.promising.scope import current_scope
from miniagents.promising.tracebacks import traceback_text
from miniagents.promising.work import end_all
from miniagents.supervision.lifecycle import CLEANUP, DOOMED, DUE, NO_WISH, OVER, STARTING, UP, Event, Wish

if TYPE_CHECKING:
    from miniagents.actors.cells.cell_ports import System

# On Python 3.11 an attribute of an enum costs as much as a call (benchmarks `crash`, `stop`).
_BEGUN, _STARTED, _CRASHED, _LET_GO, _DRAINED, _GONE = (
    Event.BEGUN,
    Event.STARTED,
    Event.CRASHED,
    Event.LET_GO,
    Event.DRAINED,
    Event.GONE,
)


LIVES = object()
"""Returned where a failure has not ended the instance."""


class ActorCell(InterruptibleCell):
    """The cell of one `Actor`."""

    __slots__ = (
        "_noticed",
        "_turn_is_due",
        "_wake",
        "warm",
    )

    passivates = False
    """Whether it may give its memory back after a rest."""

    def __init__(self, system: "System", parent: Cell | None, name: str, props: Props) -> None:
        super().__init__(system, parent, name, props)
        self.warm = False
        self._turn_is_due = False  # a turn without an instance waits in the ready queue, or runs
        self._noticed = True  # the code of the turn has nothing to look at but messages
        self._wake: asyncio.Future[None] | None = None  # own_task: what its task waits on while there is nothing to do

    @property
    def type_name(self) -> str:
        """The name of the actor's class."""
        factory = self.props.factory
        return factory.__name__ if isinstance(factory, type) else name_of_factory(factory)

    # Scheduling

    def take_notice(self) -> None:
        """See to it that a turn comes that looks at what was asked."""
        phase = self.life.phase
        if phase is UP or phase is DOOMED:
            self._noticed = False
            if not self.scheduled:
                self.wake()
        elif phase is DUE and not self._turn_is_due:
            self._turn_is_due = True
            self.wake()

    def wake(self) -> None:
        """Have a turn of the actor run."""
        self.scheduled = True
        if not self.props.own_task:
            dispatcher = self.system.dispatcher
            dispatcher.ready.append(self)
            if not dispatcher.awake:
                dispatcher.wake()
        elif self._wake is not None:
            if not self._wake.done():
                self._wake.set_result(None)
        else:
            # With an instance there is its task, which looks again before it waits.
            if self._instance is None:
                self.system.dispatcher.run_in_own_task(self, self._own_main, self.turn_context())
                self.task.add_done_callback(self._own_task_ended)

    def turn_context(self) -> Context:
        """The context of this instance: it starts empty and is kept between messages."""
        context = self.context
        if context is None:
            context = self.context = Context()
            context.run(current_scope.set, self)
        return context

    def cool_down(self) -> None:
        """Give back what an idle actor does not need."""
        if not self.scheduled and not self.queue:
            if self.queue.__class__ is deque:
                self.queue = None
            if not self.props.own_task and self.context is not None and len(self.context) <= 1:
                self.context = None  # it holds nothing but ourselves

    async def _own_main(self) -> None:
        """All turns of one instance, in a task of its own."""
        while True:
            await self.turn()
            if self._instance is None:
                return
            if not self.scheduled:
                self._wake = self.system.loop.create_future()
                try:
                    await self._wake
                except asyncio.CancelledError:
                    await self._cleanse()
                finally:
                    self._wake = None
                self.scheduled = True

    def _own_task_ended(self, task: "asyncio.Task[Any]") -> None:
        """The task of an instance has ended, or was cancelled before its first step."""
        if self.task is task:
            self.task = None
        self._turn_is_due = False
        if self.life.phase is DUE:
            self.take_notice()

    # Turns

    async def turn(self) -> None:
        """Start, stop, or handle messages up to a quantum."""
        own_task = self.props.own_task
        task = self.task
        try:
            if self._instance is None and not await self._start():
                return
            task = self.task  # another one, if the start was cancelled, or somebody keeps its task
            receive, ctx = self._instance.receive, self._ctx
            watched, inbox = self.props.handler_timeout is not None, self.inbox
            budget, look_at = QUANTUM, QUANTUM - 2
            while True:
                if not self._noticed:
                    if await self._ends():
                        return
                    receive, ctx = self._instance.receive, self._ctx
                queue = self.queue
                if not queue:
                    # Nothing to do.
                    self.scheduled = False
                    if not self.warm and not own_task:
                        if self.handled or self.restarts:
                            self.system.dispatcher.keep_warm(self)
                        else:
                            self.cool_down()  # it has only started, as many others may have
                    if self.passivates:
                        self.rests()
                    return
                entry = queue.popleft()
                if self._room is not None:
                    self.made_room()
                kind = entry.__class__
                if kind is Ask:
                    entry.taken = True
                    if entry.settled_value is not NO_VALUE or entry.settled_error is not None:
                        self.dead_entries -= 1
                        continue
                    message, ask = entry.message, entry
                    if message is BARRIER:
                        ask.answer(None)
                        continue
                elif kind is Envelope:
                    entry.taken = True
                    message, ask = entry.message, entry.ask
                    if ask is not None and ask.done():
                        self.dead_entries -= 1
                        continue
                elif kind is float:
                    self.head_enqueued_at = entry
                    self.dead_entries -= 1
                    continue
                else:
                    message, ask = entry, None
                self.current = entry
                self.since = 0.0
                hang = self._watch_for_hang() if watched else None
                try:
                    result = await receive(message, ctx)
                except BaseException as error:
                    if hang is not None:
                        hang.cancel()
                    trace = error.__traceback__
                    if trace is not None and trace.tb_next is not None:
                        # Without this frame, which would make a cycle of the error and the ask that it ends.
                        error.__traceback__ = trace.tb_next
                    trace = None
                    rest = self._failed(error)
                    if rest is not LIVES:
                        if rest is not None:
                            await rest
                        if (
                            self.life.phase is not DUE
                            or self.context is None
                            or getrefcount(task) + getweakrefcount(task) > task.held
                            or monotonic() > self.system.dispatcher.turn_until
                        ):
                            return
                        # The fresh instance starts in this turn, since it needs neither another context nor another
                        # task (benchmark `crash`): outside of this block, or its errors would carry this one.
                        self._noticed = False
                        continue
                else:
                    if hang is not None:
                        hang.cancel()
                    if self._interruption is None or self._swallowed():
                        if inbox is not None:
                            self._answer_when_written(entry, result)
                        elif self._replied:
                            self._replied = False
                        elif ask is not None:
                            ask.answer(result)
                        elif result is not None and isinstance(result, BaseException):
                            self.answered_nobody(result)
                        self.current = None
                        self.handled += 1
                    else:
                        rest = self._failed(asyncio.CancelledError())
                        if rest is not LIVES:
                            if rest is not None:
                                await rest
                            return
                # After the last message of a turn whoever runs it looks, before the next turn.
                if (queue or own_task) and getrefcount(task) + getweakrefcount(task) > task.held and self._is_spent():
                    await self._cleanse()
                    task = self.task
                budget -= 1
                if budget == look_at:
                    # After 2, 4, 8, ... messages: the turn is over with the quantum, or when its time is up.
                    if not budget or monotonic() > self.system.dispatcher.turn_until:
                        self._schedule_again()
                        return
                    look_at = 2 * budget - QUANTUM
        except (Exception, asyncio.CancelledError) as error:  # a fault of the runtime: end the actor, do not lose it
            _log.error("runtime.turn_failed", actor=self.path, stack=traceback_text(error))
            self.break_down(error)
        finally:
            task = entry = ask = message = None  # from Python 3.12 on, the traceback of a crash keeps this frame
            if not own_task:
                self.task = None
                if self._instance is None:
                    self._turn_is_due = self.life.phase is DUE
                    if self._turn_is_due:
                        self.wake()

    def _swallowed(self) -> bool:
        """The handler has returned although it was interrupted.

        Returns:
            Whether it counts as handled; one that has run for too long, whose children have failed, or that was
            abandoned, is not.
        """
        if self._interruption is HANG or self._interruption is CRASH or self.life.phase is not UP:
            return False
        self._interruption = None
        self._tell_done()
        return True

    def break_down(self, error: BaseException) -> None:
        """The runtime failed in its turn: end without any of the user's code."""
        current = self.envelope
        if current is not None:
            if current.ask is not None:
                current.ask.fail(error)
            if self.inbox is not None:
                self.acknowledge(current, Outcome.CUT_OFF)
        self._instance = self._ctx = self.context = None
        if self.life is not OVER:
            self.life = OVER
            self.reason = self.start_error = error
            self.cancel_grace()
            self.cancel_restart()
            self.report_unstarted()
            self.report_stopped()
            self.report_suspended()
            self.settle()

    def rests(self) -> None:
        """Called when an actor that passivates has nothing to do."""

    def _schedule_again(self) -> None:
        self.scheduled = True
        if not self.props.own_task:
            self.system.dispatcher.schedule(self)

    def _is_spent(self) -> bool:
        """Return True if the task must not run another message: it was cancelled, or code of the user keeps a
        reference to it, which matters for all but a task of the actor's own."""
        kept = getrefcount(self.task) > self.task.held - self.task.registered
        return kept or (not self.props.own_task and self.task.is_watched())

    async def _cleanse(self) -> None:
        """Go on without the cancellation that was dealt with: a worker in another task, an own task in itself."""
        if not self.props.own_task:
            await migrate()
            return
        task = self.task
        while task.cancelling():
            task.uncancel()
        try:
            await asyncio.sleep(0)  # before Python 3.13 a cancellation that was taken back stays pending
        except asyncio.CancelledError:
            pass
        while task.cancelling():
            task.uncancel()
        task.held = sys.maxsize
        task.interrupted_at = 0.0

    async def _ends(self) -> bool:
        """Look at what was asked of the actor from outside its handlers, or start the instance that is due.

        Returns:
            Whether there is no instance.
        """
        if self._instance is None:
            return not await self._start()
        if self.life.phase is DOOMED:
            error, self._failure = self._failure, None
            # It is what dooms; test: test_the_parent_crashes_when_the_strategy_for_its_children_is_used_up
            assert error is not None
            rest = self._crashed(error)
            if rest is not None:
                await rest
            return True
        if self.life.wish is NO_WISH:
            self._noticed = True
            return False
        self.apply(_LET_GO if self.depth else _DRAINED)
        if self.life.phase is UP:
            return False  # it drains
        rest = self._end_instance()
        if rest is not None:
            await rest
        return True

    # Start and end of an instance

    async def _start(self) -> bool:
        """Make the instance that is due.

        Returns:
            Whether it is there.
        """
        self._interruption = None
        self.apply(_BEGUN)
        if self.life.phase is not STARTING:
            return False  # the start is off
        restarted, self._restart_reason = self._restart_reason, None
        is_first = not self.life.again
        hang = self._watch_for_hang() if self.props.handler_timeout is not None else None
        try:
            instance = self.props.factory()
            kind = type(instance)
            ctx = self._ctx = ActorContext(self)
            instance.ctx = ctx
            if kind.on_start is not Actor.on_start:
                await instance.on_start(ctx)
                self._check_interruption()
            if self.life.phase is not STARTING:
                return False  # it was abandoned
            self._instance = instance
            if restarted is not None and kind.on_restart is not Actor.on_restart:
                await instance.on_restart(restarted)
                self._check_interruption()
                if self.life.phase is not STARTING:
                    return False
        except BaseException as error:
            if hang is not None:
                hang.cancel()
            if self.life.phase is not STARTING:
                return False  # it was abandoned
            was_stopped = self._interruption is STOP or self._interruption is SUSPEND
            was_stopped = was_stopped and isinstance(error, asyncio.CancelledError) and self.life.wish >= Wish.STOP
            error = self._explain(error)
            if self._instance is not None:
                rest = self._crashed(error)
                if rest is not None:
                    await rest
            else:
                if not was_stopped:
                    self.reason = error
                await self._start_failed(error, is_first)
            return False
        if hang is not None:
            hang.cancel()
        self._interruption = None
        self.apply(_STARTED)
        self._noticed = self.life.wish is NO_WISH
        if not is_first or self.system.events.wanted:
            self.announce_start(is_first, restarted)
        # `_is_spent` alone would do; the look before it spares a call (benchmark `spawn`).
        if getrefcount(self.task) + getweakrefcount(self.task) > self.task.held and self._is_spent():
            await self._cleanse()
        return True

    def _check_interruption(self) -> None:
        """A hook that swallows what is a failure has failed all the same."""
        if self._interruption is HANG or self._interruption is CRASH:
            raise asyncio.CancelledError

    async def _start_failed(self, error: BaseException, is_first: bool) -> None:
        """`__init__` or `on_start` failed: there is no instance, and no `on_stop` for it."""
        self.failed(error)
        self.start_error = error
        is_ignored = isinstance(error, IgnoreStart)
        if not is_ignored and self.on_started is None and self.life.wish is NO_WISH:
            if is_first:
                self.system.start_failed(self, error)
            else:
                self._log_crash(error)
        self.apply(Event.IGNORED if is_ignored else Event.START_FAILED)
        await self._release()
        self.apply(_GONE)

    def _end_instance(self) -> Coroutine[Any, Any, None] | None:
        """End the instance, with all that it owns.

        Returns:
            What is left to do, where code of the user has to end first; None if there is nothing, the usual case.
        """
        cleans_up = type(self._instance).on_stop is not Actor.on_stop
        if cleans_up or self.children or self._timers or self._owed or self._tasks:
            return self._clean_up(cleans_up)
        self._forget_instance()
        self.apply(_GONE)
        return None

    async def _clean_up(self, cleans_up: bool) -> None:
        """Children first, then `on_stop`, then the tasks and timers: what the instance owns ends with it."""
        if cleans_up:
            self._cancel_timers()
            if self._is_spent():
                await self._cleanse()
            await self._stop_children()
            self.apply(Event.CLEANING)
            await self._run_on_stop(self._instance)
            if self.life.phase is not CLEANUP:
                return  # it was abandoned
            self.apply(Event.CLEANED)
        await self._release()
        self.apply(_GONE)

    async def _release(self) -> None:
        """Let go of all that the instance has had."""
        self._turn_is_due = True  # this one goes on without an instance
        if self.children or self._timers or self._owed or self._tasks:
            if self._is_spent():
                await self._cleanse()
            assert self.reason is not None  # that of the exit
            await self._drop_belongings(self.reason)
        self._forget_instance()

    def _forget_instance(self) -> None:
        """Keep nothing of the instance; its context only where that is as good as a new one."""
        self._turn_is_due = True  # this one goes on without an instance
        self._instance = self._ctx = None
        context = self.context
        if context is not None and (len(context) > 1 or self.props.own_task):
            self.context = None
        self._failure = self._interruption = None
        if self._done_waiters is not None:
            self._tell_done()

    async def _run_on_stop(self, instance: Actor) -> None:
        reason = self.reason
        assert reason is not None  # that of the exit
        self._interruption = None
        hang = self._watch_for_hang() if self.props.handler_timeout is not None else None
        try:
            await instance.on_stop(reason)
        except BaseException as error:
            cause = self._interruption
            error = self._explain(error)
            if cause is None or cause is HANG:
                _log.error("actor.on_stop_failed", actor=self.path, reason=repr(reason), stack=traceback_text(error))
            else:
                _log.warning("actor.on_stop_cut_off", actor=self.path, reason=repr(reason))
        finally:
            self._interruption = None
            if hang is not None:
                hang.cancel()

    def settle(self) -> None:
        """Settle all that waits for the actor, which has ended for good."""
        self.scheduled = True
        self.context = None
        if self.warm:
            self.system.dispatcher.forget(self)
        super().settle()

    # Failures

    def _failed(self, error: BaseException) -> Any:
        """The handler raised, or was interrupted.

        Returns:
            `LIVES` if the instance does; else what is left to do of its end, or None.
        """
        if self.life.phase is not UP and self.life.phase is not DOOMED:
            return None  # it was abandoned
        envelope = self.current if self.current.__class__ is Ask else self.envelope
        assert envelope is not None  # a handler has a message
        cause, ask = self._interruption, envelope if envelope.__class__ is Ask else envelope.ask
        self._replied = False
        if cause is CANCEL and isinstance(error, asyncio.CancelledError):
            self._interruption = None
            self.current = None
            if self.inbox is not None:
                self.acknowledge(envelope, Outcome.CANCELLED)
            self._tell_done()
            return LIVES
        if (cause is STOP or cause is SUSPEND) and isinstance(error, asyncio.CancelledError):
            self._interruption = None
            self.current = None
            if self.inbox is not None and is_of_a_user(envelope):
                self._keep_cut_off(envelope)
            elif ask is not None:
                ask.stopped(self.reason)
            return LIVES
        if cause is not None:
            error = self._explain(error)
        if self.props.errors and isinstance(error, self.props.errors):
            self.current = None
            self.handled += 1
            if self.inbox is not None:
                self.acknowledge(envelope, Outcome.HANDLED, error)
            if ask is not None:
                ask.fail(error)
            else:
                log_failure("actor.answer_failed", error, actor=self.path)
            return LIVES
        if ask is not None and ask.done() and is_of_the_caller(error):
            # Nothing but the end of what the caller wanted: its deadline passed, or it cancelled. That fails the
            # promise and is no crash (else a few impatient clients take a supervisor down).
            self.current = None
            if self.inbox is not None:
                self.acknowledge(envelope, outcome_of(envelope))
            return LIVES
        return self._crashed(error, envelope, ask)

    def _crashed(
        self, error: BaseException, envelope: Enveloped | None = None, ask: Any = None
    ) -> Coroutine[Any, Any, None] | None:
        """Handle a crash: run `on_stop`, and then what the supervision says.

        Args:
            error: The exception.
            envelope: The envelope of the message that was in hand, if any.
            ask: The ask of that envelope.

        Returns:
            What is left to do of the end of the instance, or None.
        """
        self.failed(error)
        # Who runs this turn until it has to wait, waits as well.
        is_awaited = ask is not None and (bool(ask.waiters) or (self.task is not None and self.task.handed is not None))
        if envelope is not None:
            if envelope.started_work is not None:
                end_all(*self.started_for(envelope), reason=error)
            self._after_crash(error, envelope, ask)
        self.current = None
        # The ask of an agent's call is its interaction.
        call = ask if getattr(ask, "is_interaction", False) else None
        attempt = None if envelope is None or self.props.options.retry is None else envelope.crashes
        if self.system.events.wanted:
            self.system.events.publish(
                EventKind.CRASH, self.path, error=error, logged=True, actor=self, call=call, attempt=attempt
            )
        self._log_crash(error, call, attempt, is_asked=ask is not None, is_awaited=is_awaited)
        self.reason = error
        self.apply(_CRASHED)
        return self._end_instance()

    def _after_crash(self, error: BaseException, envelope: Enveloped, ask: Any) -> None:
        """Retry the current message, or make it a dead letter, or fail its ask."""
        retry = self.props.options.retry
        envelope.crashes += 1
        if retry is not None and isinstance(error, retry.on) and not (ask is not None and ask.done()):
            if envelope.crashes < retry.attempts_of(self.props.options.poison_after):
                self.put_back(envelope)
                if self._owed is not None:
                    self._owed.pop(ask, None)  # the next attempt may answer, and this one no more
                return
            self.system.dead_letters.add(DeadLetterReason.POISONOUS, envelope, self.ref, error)
        if self.inbox is not None:
            self.acknowledge(envelope, Outcome.CRASHED, error)
        if ask is not None:
            ask.fail(error)

    def _keep_cut_off(self, envelope: Enveloped) -> None:
        """The message in hand was cut off: a durable mailbox keeps it, for the next instance or the next actor."""
        if envelope.ask is not None and envelope.ask.done():
            self.acknowledge(envelope, outcome_of(envelope))
            return
        self.put_back(envelope)
        if self._owed is not None:
            self._owed.pop(envelope.ask, None)

    def _log_crash(
        self,
        error: BaseException,
        call: Any = None,
        attempt: int | None = None,
        *,
        is_asked: bool = False,
        is_awaited: bool = False,
    ) -> None:
        of: dict[str, Any] = {"actor": self.path} if call is None else {**call.log_fields, "actor": self.path}
        if attempt is not None:
            of["attempt"] = attempt
        if not is_asked:
            log_failure("actor.crashed", error, again=True, **of)
            return
        mark_logged(error)  # the asker gets the exception itself: a second report would only repeat this one
        log = logger_for(logging.WARNING)
        if log is not None:
            stack = {} if is_awaited else {"stack": traceback_text(error)}
            log.warning("actor.crashed", error=repr(error), **of, **stack)


def name_of_factory(factory: Any) -> str:
    """Return the name of the class or function that makes instances, with arguments or without."""
    return str(getattr(getattr(factory, "func", factory), "__name__", ""))


def is_of_the_caller(error: BaseException) -> bool:
    """Return True for an error that a handler may raise because its asker waits no more."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_of_the_caller(part) for part in error.exceptions)
    return isinstance(error, (TimeoutError, PromiseCancelledError)) and not isinstance(error, HandlerTimeoutError)
