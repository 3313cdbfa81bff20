"""The cell of an `Actor`: one message at a time, restarts behind the same mailbox, hooks, timers and tasks.

Its code runs in *turns*. A turn is a coroutine that a worker steps; it starts or stops the instance if that was asked
for, handles messages up to a quantum, and returns. Whatever the actor raises, a turn never raises.

The module is long because it is one state machine: starting, handling, crashing, restarting and ending lead to each
other, and a reader has to see all of them at once.
"""

import asyncio
import enum
from collections import deque
from collections.abc import Callable
from contextvars import Context
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog

from miniagents.actors.actor import Actor, ActorContext, IgnoreStart
from miniagents.actors.ask import Ask
from miniagents.actors.belongings import OwningCell
from miniagents.actors.cell import Cell
from miniagents.actors.deadletters import DeadLetterReason
from miniagents.actors.dispatcher import QUANTUM
from miniagents.actors.envelope import Envelope
from miniagents.actors.events import EventKind
from miniagents.actors.inbox import BARRIER
from miniagents.actors.options import Props
from miniagents.actors.state import IDLE, RESTARTING, RUNNING, STARTING, STOPPED, STOPPING
from miniagents.actors.workers import migrate, stack_of_worker
from miniagents.errors import ActorStoppedError, HandlerTimeoutError, PromiseCancelledError
from miniagents.promising.abandoning import log_abandoned
from miniagents.promising.context import current_scope
from miniagents.promising.failures import log_failure
from miniagents.promising.promise import NO_VALUE
from miniagents.promising.tracebacks import traceback_text
from miniagents.supervision import RestartWindow, StopReason

if TYPE_CHECKING:
    from miniagents.actors.system import ActorSystem

_log = structlog.get_logger("miniagents")

_KILL_GRACE = 1.0
_INSIST_EVERY = 1.0


class Cause(enum.Enum):
    """Why the runtime interrupts a handler."""

    STOP = "stop"
    HANG = "hang"
    CANCEL = "cancel"
    SUSPEND = "suspend"
    CRASH = "crash"


_STOP, _HANG, _CANCEL, _SUSPEND, _CRASH = Cause


class ActorCell(OwningCell):
    """The cell of one `Actor`."""

    __slots__ = (
        "_cause",
        "_crash",
        "_ctx",
        "_done_waiters",
        "_draining",
        "_grace",
        "_in_row",
        "_in_user",
        "_instance",
        "_later",
        "_restart_reason",
        "_signal",
        "_suspending",
        "_wake",
        "_want_start",
        "_window",
        "context",
        "warm",
    )

    passivates = False
    """Whether it may give its memory back after a rest."""

    def __init__(self, system: "ActorSystem", parent: Cell | None, name: str, props: Props) -> None:
        super().__init__(system, parent, name, props)
        self._instance: Any = None
        self._ctx: ActorContext | None = None
        self.context: Context | None = None
        self.warm = False
        self._signal = False  # whether anything was asked of it from outside its handlers
        self._want_start = False
        self._restart_reason: StopReason | BaseException | None = None
        self._cause: Cause | None = None
        self._in_user = False  # whether it is the actor's own code that the turn waits for
        self._in_row = 0  # crashes since a message was handled
        self._window: RestartWindow | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._suspending: asyncio.Future[None] | None = None
        self._crash: BaseException | None = None
        self._draining = False
        self._wake: asyncio.Future[None] | None = None  # own_task: what its task waits on while there is nothing to do
        self._done_waiters: list[asyncio.Future[None]] | None = None

    # Scheduling

    def begin(self) -> None:
        """Start, as soon as the loop turns."""
        self._want_start = True
        self._schedule()

    def wake(self) -> None:
        """There is something in the mailbox."""
        if not self.scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self.scheduled = True
        if not self.props.own_task:
            dispatcher = self.system.dispatcher
            dispatcher.ready.append(self)
            if not dispatcher.awake:
                dispatcher._wake()
        elif self._wake is not None:
            if not self._wake.done():
                self._wake.set_result(None)
        elif self.task is None:
            self.system.dispatcher.run_in_own_task(self, self._own_main, self.turn_context())

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
                break  # ended, or the next instance has its own task
            if not self.scheduled:
                self._wake = self.system.loop.create_future()
                try:
                    await self._wake
                except asyncio.CancelledError:
                    asyncio.current_task().uncancel()  # type: ignore[union-attr]
                finally:
                    self._wake = None
                self.scheduled = True
        self.task = None
        if self.scheduled and self.state is not STOPPED and (self._want_start or self.stopping is not None):
            self._schedule()

    # Turns

    async def turn(self) -> None:
        """Start, stop, or handle messages up to a quantum."""
        own_task = self.props.own_task
        try:
            if self._instance is None:
                if self._want_start and self.stopping is None and self._suspending is None:
                    self._want_start = False
                    if not await self._start():
                        return
                elif not await self._without_instance():
                    return
            receive, ctx = self._instance.receive, self._ctx
            watched = self.props.handler_timeout is not None
            budget, look_at = QUANTUM, QUANTUM - 2
            self.state = RUNNING
            while True:
                if self._signal and await self._control():
                    return
                queue = self.queue
                if not queue:
                    # Nothing to do.
                    self.state = IDLE
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
                    if entry._value is not NO_VALUE or entry._error is not None:
                        self.gone -= 1
                        continue
                    message, ask = entry.message, entry
                    if message is BARRIER:
                        ask.answer(None)
                        continue
                elif kind is Envelope:
                    entry.taken = True
                    message, ask = entry.message, entry.ask
                    if ask is not None and ask.done():
                        self.gone -= 1
                        continue
                elif kind is float:
                    self.head_at = entry
                    self.gone -= 1
                    continue
                else:
                    message, ask = entry, None
                self.current = entry
                self.since = 0.0
                self._in_user = True
                hang = self._watch_for_hang() if watched else None
                try:
                    result = await receive(message, ctx)
                except BaseException as error:
                    self._in_user = False
                    if hang is not None:
                        hang.cancel()
                    trace = error.__traceback__
                    if trace is not None and trace.tb_next is not None:
                        # Without this frame, which would make a cycle of the error and the ask that it ends.
                        error.__traceback__ = trace.tb_next
                    trace = None
                    if not await self._failed(error):
                        return
                else:
                    self._in_user = False
                    if hang is not None:
                        hang.cancel()
                    if self._cause is None or not await self._interrupted():
                        if self._replied:
                            self._replied = False
                        elif ask is not None:
                            ask.answer(result)
                        self.current = None
                        self.handled += 1
                        self._in_row = 0
                    elif self._instance is None:
                        return
                if self.task.tainted:
                    if own_task:
                        self._cleanse()
                    else:
                        await migrate()
                budget -= 1
                if budget == look_at:
                    # After 2, 4, 8, ... messages: the turn is over with the quantum, or when its time is up.
                    if not budget or monotonic() > self.system.dispatcher.turn_until:
                        self._schedule_again()
                        return
                    look_at = 2 * budget - QUANTUM
        except Exception as error:  # a fault of the runtime itself: end the actor rather than lose it
            _log.error("the runtime failed in a turn", actor=self.path, stack=traceback_text(error))
            self._instance = None
            self.ended(error)
        finally:
            if not own_task:
                self.task = None

    async def _interrupted(self) -> bool:
        """The handler returned although it was interrupted.

        Returns:
            Whether that was its end: it had run for too long, or was abandoned.
        """
        if self.state is STOPPED:
            return True
        if self._cause is _HANG:
            await self._failed(asyncio.CancelledError())
            return True
        self._cause = None
        self._tell_done()
        return False

    def rests(self) -> None:
        """Nothing to do, for one that passivates."""

    def _schedule_again(self) -> None:
        self.scheduled = True
        if not self.props.own_task:
            self.system.dispatcher.schedule(self)

    def _cleanse(self) -> None:
        """An own task goes on after a cancellation that was dealt with."""
        task = self.task
        while task.cancelling():
            task.uncancel()
        task.tainted = False
        task.interrupted_at = 0.0

    async def _without_instance(self) -> bool:
        """Start if that was asked for, or end.

        Returns:
            Whether there is an instance now.
        """
        stopping = self.stopping
        if stopping is not None and stopping.drain and self.depth and self._want_start:
            self._draining = True  # what waited before its first start is handled, too
        if stopping is not None and not (self._draining and self._want_start):
            self._want_start = False
            self._finish(stopping.reason)
            return False
        if self._suspending is not None:
            self._suspended()
            return False
        if not self._want_start:
            return False
        self._want_start = False
        return await self._start()

    async def _control(self) -> bool:
        """Do what was asked of the actor from outside its handlers.

        Returns:
            Whether there is no instance any more.
        """
        if self._crash is not None:
            error, self._crash = self._crash, None
            return not await self._crashed(None, error)
        if self._suspending is not None:
            await self._end_instance(StopReason.SHUTDOWN)
            self._suspended()
            return True
        stopping = self.stopping
        assert stopping is not None  # it, or one of the other two, raised the signal
        if stopping.drain and self.depth:
            self._draining = True
            return False
        self.state = STOPPING
        await self._end_instance(stopping.reason)
        self._exit(stopping.reason)
        return True

    # Start and end of an instance

    async def _start(self) -> bool:
        restarted = self._restart_reason
        self.state = RESTARTING if restarted is not None else STARTING
        self._in_user = True
        started = False
        hang = self._watch_for_hang() if self.props.handler_timeout is not None else None
        try:
            instance = self.props.factory()
            kind = type(instance)
            ctx = self._ctx = ActorContext(self)
            instance.ctx = ctx
            if kind.on_start is not Actor.on_start:
                await instance.on_start(ctx)
                if self._cause is _HANG:
                    raise asyncio.CancelledError
                if self.state is STOPPED:
                    return False  # it was abandoned
            started = True
            if restarted is not None:
                self._instance = instance
                if kind.on_restart is not Actor.on_restart:
                    await instance.on_restart(restarted)
                    if self._cause is _HANG:
                        raise asyncio.CancelledError
        except BaseException as error:
            self._in_user = False
            if hang is not None:
                hang.cancel()
            error = self._explain(error)
            if started:
                self._restart_reason = None
                self.report_started(None)
                await self._crashed(None, error)
            else:
                await self._start_failed(error)
            return False
        self._in_user = False
        if hang is not None:
            hang.cancel()
        self._instance = instance
        self._restart_reason = None
        self._cause = None
        self._signal = self.stopping is not None or self._suspending is not None or self._crash is not None
        events = self.system.events
        if restarted is not None:
            self.restarts += 1
            if events.wanted:
                events.publish(EventKind.RESTART, self.path, reason=restarted)
        elif events.wanted:
            events.publish(EventKind.SPAWN, self.path)
        self.state = RUNNING
        if self._started is not None:
            self._started._resolve(None)
        if self.on_started is not None:
            self.report_started(None)
        if self.task.tainted:
            if self.props.own_task:
                self._cleanse()
            else:
                await migrate()
        return True

    async def _start_failed(self, error: BaseException) -> None:
        """`__init__` or `on_start` failed: there is no instance, and no `on_stop` for it."""
        first = self._restart_reason is None
        self.failed(error)
        await self._drop_belongings(error)
        self._ctx = None
        stopping = self.stopping
        if first or stopping is not None or (self.on_started is not None and isinstance(error, IgnoreStart)):
            self.start_error = error if first else None
            if first and self.on_started is None and not isinstance(error, IgnoreStart) and stopping is None:
                self.system.start_failed(self, error)
            self._finish(stopping.reason if stopping is not None and not first else error)
            self.report_started(error)
            return
        if self.on_started is not None or self._suspending is not None:
            # Its supervisor asked for the restart and decides what comes of the failure.
            self.state = RESTARTING
            self.context = None
            self.report_started(error)
            if self._suspending is not None:
                self._suspended()
            return
        self._log_crash(None, error)
        self._restart(error)

    async def _end_instance(self, reason: StopReason | BaseException) -> None:
        """Children first, then `on_stop`, then the tasks and timers: what the instance owns ends with it."""
        instance = self._instance
        if instance is not None and (self.children or self._timers or type(instance).on_stop is not Actor.on_stop):
            self._cancel_timers()
            await self._stop_children()
            if type(instance).on_stop is not Actor.on_stop:
                await self._run_on_stop(instance, reason)
        self._instance = None
        if self.children or self._timers or self._owed or self._tasks:
            await self._drop_belongings(reason)
        self._ctx = None
        self.context = None
        self._cancel_grace()
        self._cause = None
        self._tell_done()

    async def _run_on_stop(self, instance: Any, reason: StopReason | BaseException) -> None:
        self._in_user = True
        self._cause = None
        hang = self._watch_for_hang() if self.props.handler_timeout is not None else None
        if self.stopping is not None and self.stopping.reason is StopReason.KILLED:
            self._arm_grace(_KILL_GRACE)
        if self.task.tainted and not self.props.own_task:
            self._in_user = False
            await migrate()
            self._in_user = True
        elif self.props.own_task:
            self._cleanse()
        try:
            await instance.on_stop(reason)
        except BaseException as error:
            cause = self._cause
            error = self._explain(error)
            if cause is None or cause is _HANG:
                _log.error("on_stop failed", actor=self.path, reason=repr(reason), stack=traceback_text(error))
            else:
                _log.warning("on_stop was cut off", actor=self.path, reason=repr(reason))
        finally:
            self._in_user = False
            if hang is not None:
                hang.cancel()

    def _exit(self, reason: StopReason | BaseException) -> None:
        """The instance is gone after an end that its restart type may answer."""
        stopping = self.stopping
        if stopping is not None and not stopping.judged:
            self._finish(reason)
        elif self.will_restart(reason):
            self.stopping = None
            self._draining = False
            if stopping is not None:
                stopping.ended._resolve(reason)
            self._await_keeper(reason)
        else:
            self._finish(reason)

    def _await_keeper(self, reason: StopReason | BaseException) -> None:
        """Keep mailbox and ref, and let the supervisor decide."""
        self.state = RESTARTING
        self.scheduled = True
        assert self.keeper is not None
        self.keeper.child_down(self, reason)

    def _finish(self, reason: StopReason | BaseException) -> None:
        """It ends for good."""
        if self.state is STOPPED:
            return
        self._cancel_timers()
        self._cancel_grace()
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._instance = None
        self._ctx = None
        self.context = None
        self.scheduled = True
        if self.warm:
            self.system.dispatcher.forget(self)
        self.ended(reason)
        if self._suspending is not None:
            self._suspended()
        self._tell_done()

    # Failures

    async def _failed(self, error: BaseException) -> bool:
        """The handler raised, or was interrupted.

        Returns:
            Whether the instance lives.
        """
        if self.state is STOPPED:
            return False  # it was abandoned
        envelope = self.envelope
        cause, ask = self._cause, envelope.ask
        self._replied = False
        if cause is _CANCEL and isinstance(error, asyncio.CancelledError):
            self._cause = None
            self.current = None
            self._tell_done()
            return True
        if cause in (_STOP, _SUSPEND) and isinstance(error, asyncio.CancelledError):
            self._cause = None
            self.current = None
            if ask is not None:
                reason = self.stopping.reason if self.stopping is not None else StopReason.SHUTDOWN
                ask.stopped(reason)
            return True
        if cause is _CRASH and self._crash is not None:
            error = self._crash
            self._crash = None
        else:
            error = self._explain(error)
        if self.props.errors and isinstance(error, self.props.errors):
            self.current = None
            self.handled += 1
            self._in_row = 0
            if ask is not None:
                ask.fail(error)
            else:
                log_failure("a handler failed and nobody had asked", error, actor=self.path)
            return True
        if self._ended_with_its_asker(envelope, error):
            self.current = None
            return True
        return await self._crashed(envelope, error)

    def _ended_with_its_asker(self, envelope: Any, error: BaseException) -> bool:
        """Whether the error is nothing but the end of what the caller wanted: its deadline passed, or it cancelled.

        Such an end fails the promise and is no crash (else a few impatient clients take a supervisor down).
        """
        ask = envelope.ask
        if ask is None or not ask.done():
            return False
        return isinstance(error, (TimeoutError, PromiseCancelledError)) and not isinstance(error, HandlerTimeoutError)

    def _explain(self, error: BaseException) -> BaseException:
        """The error that the outside sees."""
        cause, self._cause = self._cause, None
        if cause is _HANG:
            hang = HandlerTimeoutError(
                f"{self.path}: ran for longer than its handler_timeout of {self.props.handler_timeout} s",
                path=self.path,
            )
            hang.__cause__ = None if isinstance(error, asyncio.CancelledError) else error
            return hang
        if cause is _STOP and isinstance(error, asyncio.CancelledError):
            return ActorStoppedError(f"{self.path}: was stopped", path=self.path, reason=StopReason.SHUTDOWN)
        return error

    async def _crashed(self, envelope: Any | None, error: BaseException) -> bool:
        """It crashed: `on_stop`, and then what its supervision says.

        Returns:
            Whether the instance lives: it does not.
        """
        self.failed(error)
        ask = envelope.ask if envelope is not None else None
        if envelope is not None:
            self._after_crash(envelope, error)
        self.current = None
        # The ask of an agent's call is its interaction.
        call = getattr(ask, "id", None)
        if self.system.events.wanted:
            self.system.events.publish(EventKind.CRASH, self.path, error=error, detail=call, logged=True)
        if self.stopping is not None and self.stopping.own:
            self.stopping.ended._resolve(error)
            self.stopping = None  # ctx.stop() and then a raise: the crash wins
        self._log_crash(ask, error, call)
        self.state = STOPPING if self.stopping is not None else RESTARTING
        await self._end_instance(error)
        if self.stopping is not None:
            if self.stopping.drain and self.depth:
                self._draining = True
                self._restart_reason = error
                self._want_start = True
                self._schedule_start()
            else:
                self._exit(error)
        elif self._suspending is not None:
            self._suspended()
        elif self.keeper is not None:
            self._exit(error)
        else:
            self._restart(error)
        return False

    def _after_crash(self, envelope: Any, error: BaseException) -> None:
        """What becomes of the message in hand."""
        retry = self.props.options.retry
        envelope.crashes += 1
        if retry is not None and isinstance(error, retry.on) and not (envelope.ask is not None and envelope.ask.done()):
            if envelope.crashes < retry.attempts_of(self.props.options.poison_after):
                if self.queue is None:
                    self.queue = self.props.options.mailbox.new_queue()
                envelope.taken = False
                self.queue.appendleft(envelope)
                return
            self.system.dead_letters.add(DeadLetterReason.POISONOUS, envelope, self.ref)
        if envelope.ask is not None:
            envelope.ask.fail(error)

    def _log_crash(self, ask: Any, error: BaseException, call: int | None = None) -> None:
        # Whoever asked gets the exception itself; a second full report would only repeat it.
        if ask is None:
            _log.error("actor crashed", actor=self.path, error=repr(error), stack=traceback_text(error))
        else:
            of = {} if call is None else {"interaction": call}
            _log.warning("actor crashed", actor=self.path, error=repr(error), **of)

    def _restart(self, error: BaseException) -> None:
        """Its own supervision decides: a fresh instance now, later, or never."""
        strategy = self.props.supervision
        now = self.system.time()
        if strategy.max_restarts is not None:
            if self._window is None:
                self._window = RestartWindow(strategy.max_restarts, strategy.within)
            if not self._window.record(now):
                _log.error(
                    "actor ends: more restarts than its supervision allows",
                    actor=self.path,
                    max_restarts=strategy.max_restarts,
                    within=strategy.within,
                )
                self.system.events.publish(EventKind.ESCALATION, self.path, error=error, logged=True)
                self._finish(error)
                return
        self._in_row += 1
        self._restart_reason = error
        self._want_start = True
        backoff = strategy.backoff
        if backoff is None or self._in_row == 1:
            self._schedule_start()
        else:
            self.state = RESTARTING
            self.scheduled = True
            delay = backoff.delay(self._in_row - 2, self.system.random)
            self._later = self.system.loop.call_later(delay, self._restart_now)

    def _restart_now(self) -> None:
        self._later = None
        self._schedule_start()

    def _schedule_start(self) -> None:
        self.state = RESTARTING
        self.scheduled = True
        if not self.props.own_task:
            self.system.dispatcher.schedule(self)
        elif self.task is None:
            self._schedule()

    # What others ask of it

    def stop_requested(self, *, escalated: bool) -> None:
        """The end was asked for."""
        stopping = self.stopping
        assert stopping is not None  # it says how
        self._signal = True
        killed = stopping.reason is StopReason.KILLED or self.shutdown == 0
        if self._instance is None and not self._in_user and self.state is not STOPPING:
            self._stop_without_instance(drain=stopping.drain and self.depth > 0)
            return
        if not self.scheduled:
            self._schedule()
        if stopping.own:
            return
        if killed:
            self._interrupt(_STOP)
        elif self._grace is None and self.shutdown is not None:
            self._arm_grace(self.shutdown)

    def _stop_without_instance(self, *, drain: bool) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self.state is RESTARTING and not drain and self.task is None:
            self._want_start = False
            assert self.stopping is not None
            self._finish(self.stopping.reason)
        elif self.state is RESTARTING and drain and self.task is None:
            self._draining = True
            self._schedule_start()
        # else: its first turn is to come, and ends it

    def suspend(self) -> "asyncio.Future[None]":
        """End the instance, and keep mailbox and ref: its supervisor will start another one.

        Returns:
            A future of the moment when the instance is gone.
        """
        done = self._suspending
        if done is None:
            done = self.system.loop.create_future()
            if self._instance is None and not self._in_user and self.state is RESTARTING and self.task is None:
                if self._later is not None:
                    self._later.cancel()
                    self._later = None
                self._want_start = False
                done.set_result(None)
                return done
            self._suspending = done
            self._signal = True
            if not self.scheduled:
                self._schedule()
            if self.shutdown == 0:
                self._interrupt(_SUSPEND)
            elif self.shutdown is not None:
                self._arm_grace(self.shutdown)
        return done

    def _suspended(self) -> None:
        done, self._suspending = self._suspending, None
        if self.state is not STOPPED:
            self.state = RESTARTING
            self.scheduled = True
            self._want_start = False
            envelope = self.envelope
            if envelope is not None and envelope.ask is not None:
                envelope.ask.stopped(StopReason.SHUTDOWN)
            self.current = None
            if self.stopping is not None:
                # A stop from outside met the restart of its siblings: the supervisor has the last word.
                self.stopping.ended._resolve(StopReason.SHUTDOWN)
                self.stopping = None
        if done is not None and not done.done():
            done.set_result(None)

    def resume(self, reason: StopReason | BaseException, on_started: Callable[[BaseException | None], None]) -> None:
        """Start a fresh instance behind the same mailbox, and report how that went."""
        self.on_started = on_started
        self._restart_reason = reason
        self._want_start = True
        self._schedule_start()

    def cancel_start(self) -> None:
        """Its start takes too long for a supervisor that has to stop it."""
        self._interrupt(_STOP)

    def finish(self, reason: StopReason | BaseException) -> None:
        """Its supervisor will not start it again."""
        if self.state is not STOPPED:
            self._finish(reason)

    def crash(self, error: BaseException) -> None:
        """Crash with `error`, now: the supervision of its children is used up."""
        if self.state in (STOPPED, STOPPING) or self._crash is not None:
            return
        self._crash = error
        self._signal = True
        if not self.scheduled:
            self._schedule()
        self._interrupt(_CRASH)

    # Interruptions

    def _interrupt(self, cause: Cause) -> None:
        if self._in_user and self.task is not None:
            if self._cause is None or cause is _STOP:
                self._cause = cause
            self.task.interrupt()

    def interrupt_current(self) -> Any:
        """Interrupt the handler of the message in hand, whose ask was cancelled; the instance lives."""
        if not self._in_user or self.task is None or asyncio.current_task() is self.task:
            return None
        done = self.system.loop.create_future()
        if self._done_waiters is None:
            self._done_waiters = []
        self._done_waiters.append(done)
        self._interrupt(_CANCEL)
        return done

    @property
    def told_to_end_at(self) -> float | None:
        """When its code was cancelled because it must end, on `loop.time()`."""
        return self.task.interrupted_at if self._in_user and self._cause in (_STOP, _SUSPEND) else None

    def abandon(self) -> None:
        """The system ends, and its code swallows that: it ends without it, after its children."""
        worker = self.task
        log_abandoned(stack_of_worker(worker), actor=self.path)
        self.system.dispatcher.abandon(worker)
        self.system.start_soon(self._end_without_its_code())

    async def _end_without_its_code(self) -> None:
        reason = self.stopping.reason if self.stopping is not None else StopReason.SHUTDOWN
        envelope = self.envelope
        if envelope is not None and envelope.ask is not None:
            envelope.ask.stopped(reason)
        await self._drop_belongings(reason)
        self._finish(reason)

    def _tell_done(self) -> None:
        waiters, self._done_waiters = self._done_waiters, None
        if waiters:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _arm_grace(self, seconds: float) -> None:
        self._cancel_grace()
        self._grace = self.system.loop.call_later(seconds, self._grace_is_over)

    def _cancel_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def _grace_is_over(self) -> None:
        if self._in_user:
            if self._cause is _STOP or self._cause is _SUSPEND:
                _log.warning("an actor that must end swallows its cancellation", actor=self.path)
            self._interrupt(_SUSPEND if self._suspending is not None else _STOP)
        if self.stopping is not None:
            self.stopping.drain = False
        self._grace = self.system.loop.call_later(_INSIST_EVERY, self._grace_is_over)

    def _watch_for_hang(self) -> asyncio.TimerHandle:
        assert self.props.handler_timeout is not None
        return self.system.loop.call_later(self.props.handler_timeout, self._hangs)

    def _hangs(self) -> None:
        if self._in_user:
            self.system.events.publish(EventKind.HANG, self.path)
            if self._cause is None:
                self._cause = _HANG
            self._interrupt(_HANG)
