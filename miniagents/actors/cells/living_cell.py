"""The life of a cell: the table of `miniagents.supervision.lifecycle`, carried out.

`apply(event)` takes the step that the table says and does what it names, one method for each `Action`. What is common
to all cells is here; how a start begins, how code is interrupted and what an end takes is for the kinds of cells.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.graces import Grace
from miniagents.actors.observing.events import EventKind
from miniagents.actors.waiting.termination import ENDED, StopRequest
from miniagents.errors import ActorStoppedError
from miniagents.log import log as _log
from miniagents.promising import Promise
from miniagents.promising.abandoning import INSIST_EVERY
from miniagents.supervision import RestartWindow, Shutdown, StopReason
from miniagents.supervision.lifecycle import CLEANUP, CLEARING, ENDING, NO_WISH, OVER, UP, Event, Wish

if TYPE_CHECKING:
    from miniagents.actors.cells.cell_ports import System
    from miniagents.actors.messaging.options import Props

# On Python 3.11 an attribute of an enum costs as much as a call (benchmarks `crash`, `stop`).
_START, _STOP, _RESTARTS, _ENDS = Event.START, Event.STOP, Event.RESTARTS, Event.ENDS


KILL_GRACE = 1.0
"""Seconds that `on_stop` has after a kill."""


class LivingCell(Cell):
    """A cell that starts, restarts and ends as the table says.

    Attributes:
        reason: Why it exits, the last reason that was given: a crash, or what asked for its end.
        start_error: Why its last start failed.
    """

    __slots__ = (
        "_grace",
        "_handled_then",
        "_in_row",
        "_later",
        "_restart_reason",
        "_suspended",
        "_window",
        "on_started",
    )

    is_displaced = False
    """True if its code has to be placed on another node, since its node is lost or has given it away."""

    def __init__(self, system: "System", parent: Cell | None, name: str, props: "Props") -> None:
        super().__init__(system, parent, name, props)
        self.on_started: Callable[[BaseException | None], None] | None = None
        self._restart_reason: StopReason | BaseException | None = None
        self._suspended: asyncio.Future[None] | None = None
        self._grace: Grace | None = None
        self._later: asyncio.TimerHandle | None = None
        self._window: RestartWindow | None = None
        self._in_row = 0  # restarts of its own since a message was handled
        self._handled_then = 0

    def apply(self, event: Event) -> None:
        """Take the step that the table says, and do what it names."""
        step = self.life.steps[event] or self.life.after(event)
        self.life = step.life
        if self.system.changes.wanted:
            self.system.changes.note(self)
        methods = step.methods.get(self.__class__)
        if methods is None:
            methods = step.methods_of(self.__class__)
        for method in methods:
            method(self)
            if self.life is not step.life:
                break  # it has gone on already, and what was to come is void

    # What others ask of it

    def begin(self) -> None:
        """Start, as soon as the loop turns."""
        self.apply(_START)

    def resume(self, reason: StopReason | BaseException, on_started: Callable[[BaseException | None], None]) -> None:
        """Start again behind the same mailbox.

        Args:
            reason: The exit that this answers.
            on_started: Called once with the error of the start, or None.
        """
        self.on_started = on_started
        self._restart_reason = reason
        self.apply(_START)

    def cancel_start(self) -> None:
        """Cut a start off that is under way, since its supervisor has to stop it."""
        self.apply(Event.CANCEL_START)

    def stop(self, *, reason: StopReason, drain: bool, own: bool = False) -> Promise[Any]:
        """Ask for an exit; the restart type of a supervisor's child judges it.

        Returns:
            The promise of the exit's reason: it resolves when the exit is judged.
        """
        if self.life is OVER:
            return self.terminated()
        request = self.stopping
        if request is None:
            request = self.stopping = StopRequest(self, reason)
        wish = self.life.wish
        if own:
            if wish < Wish.STOP:
                self.reason = request.reason = reason
            self.apply(Event.STOP_OWN)
        elif reason is StopReason.KILLED:
            self.reason = request.reason = reason
            self.apply(Event.KILL)
        else:
            drains = drain and self.depth > 0
            if wish < Wish.STOP:
                request.reason = reason
                if not drains or self.life.phase not in (CLEARING, ENDING, CLEANUP):
                    self.reason = reason  # else it drains after the restart that the exit under way leads to
            self.apply(Event.STOP_DRAIN if drains else _STOP)
        return request

    def terminate(self, reason: StopReason | BaseException = StopReason.SHUTDOWN) -> Promise[Any]:
        """Ask for the end in the name of the supervisor or parent: for good, whatever the restart type says."""
        if self.life is OVER:
            return self.terminated()
        if self.stopping is None:
            self.stopping = StopRequest(self, reason)
        if self.life.wish < Wish.TERMINATE or reason is StopReason.KILLED:
            self.reason = self.stopping.reason = reason
        self.apply(Event.TERMINATE_NOW if reason is StopReason.KILLED else Event.TERMINATE)
        return self.terminated()

    def suspend(self, reason: StopReason = StopReason.SHUTDOWN) -> "asyncio.Future[None]":
        """End the instance and keep mailbox and ref: the supervisor will start another one, with its siblings.

        Args:
            reason: The reason; RESTARTED cuts the message in hand off.

        Returns:
            A future of the moment when there is no instance any more.
        """
        done = self._suspended
        if done is None:
            done = self._suspended = self.system.loop.create_future()
            kill = self.spec is not None and self.spec.shutdown is Shutdown.KILL
            self.reason = StopReason.KILLED if kill else reason
            self.apply(Event.SUSPEND_NOW if kill or self.cuts_off(reason) else Event.SUSPEND)
        return done

    def cuts_off(self, reason: StopReason) -> bool:
        """Return True if a suspension for this reason cuts the message in hand off."""
        return reason is StopReason.RESTARTED

    def start_again(self) -> Promise[None]:
        """End the instance at once and start another one behind the same mailbox; see `ActorRef.restart`.

        The table ends this wait: it reports the suspension, and then the start, also those that do not come.
        """
        promise: Promise[None] = Promise()
        if self.life.wish is Wish.TERMINATE or self.life is OVER:
            promise.reject(self.stopped_error())
            return promise
        if self.supervisor is not None:
            return self.supervisor.start_again(self)
        waiting = self.system.starting_again
        if self in waiting:
            return waiting[self]
        waiting[self] = promise
        self.suspend(StopReason.RESTARTED).add_done_callback(self._start_again_now, context=Context())
        return promise

    def _start_again_now(self, _: object) -> None:
        self.resume(StopReason.RESTARTED, self._started_again)

    def _started_again(self, error: BaseException | None) -> None:
        promise = self.system.starting_again.pop(self)
        if error is None:
            promise.resolve(None)
        else:
            promise.reject(error)

    def takes_while_stopping(self) -> bool:
        """Return True if messages are taken although the actor was told to end: only if a restart will follow."""
        stopping = self.stopping
        if stopping is None:
            return True
        wish = self.life.wish
        return wish is Wish.SUSPEND or (
            wish < Wish.SUSPEND and self.life is not OVER and self.will_restart(stopping.reason)
        )

    def will_restart(self, reason: StopReason | BaseException) -> bool:
        """Return True if the supervisor restarts the actor after such an exit."""
        return self.supervisor is not None and self.supervisor.answers(self, reason)

    # What the table says; see `Action`

    def take_notice(self) -> None:
        """See to it that its code takes notice of what was asked."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Cancel its code, and do so again in a second if that is swallowed."""
        self._arm(INSIST_EVERY)

    def arm_grace(self) -> None:
        """Let the grace be over in `shutdown` seconds."""
        shutdown = self.shutdown
        if shutdown == 0:
            self.apply(Event.GRACE_OVER)
        elif shutdown is not None and self._grace is None:
            self._grace = self.system.graces.start(shutdown, self)

    def arm_kill_grace(self) -> None:
        """Let the grace of `on_stop` be over in a second."""
        self._arm(KILL_GRACE)

    def _arm(self, seconds: float) -> None:
        self.cancel_grace()
        self._grace = self.system.graces.start(seconds, self)

    def grace_over(self) -> None:
        """The grace is over that was armed last."""
        self._grace = None
        self.apply(Event.GRACE_OVER)

    def cancel_grace(self) -> None:
        """No end of a grace any more."""
        if self._grace is not None:
            self._grace.cancel(self)
            self._grace = None

    def cancel_restart(self) -> None:
        """The restart that is due is off."""
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def report_started(self) -> None:
        """Tell who waits for its start."""
        self.start_error = None
        if self.life.phase is UP:
            # A crash that is over is no reason any more, and must not keep its frames.
            if self.life.wish is NO_WISH:
                self.reason = None
            elif self.life.wish is Wish.DRAIN and self.stopping is not None:
                self.reason = self.stopping.reason
        if self._started is not None:
            self._started.resolve(None)
        report, self.on_started = self.on_started, None
        if report is not None:
            report(None)

    def announce_start(self, is_first: bool, restarted: StopReason | BaseException | None) -> None:
        """Count a restart, and tell those who watch the events.

        Args:
            is_first: Whether it is no restart.
            restarted: The exit that the restart answers.
        """
        events = self.system.events
        if not is_first:
            self.restarts += 1
            above = self.parent
            while above is not None:
                if above.children is not None:
                    above.children.restarts += 1
                above = above.parent
            if events.wanted:
                events.publish(EventKind.RESTART, self.path, reason=restarted, actor=self)
        elif events.wanted:
            events.publish(EventKind.SPAWN, self.path, actor=self)

    def report_unstarted(self) -> None:
        """Tell its supervisor, if it waits for the start, that there is none."""
        report, self.on_started = self.on_started, None
        if report is not None:
            report(self.start_error if self.start_error is not None else self.unstarted_error())

    def stopped_error(self) -> ActorStoppedError:
        """Return the error that ends what its code has started: the actor was stopped."""
        return ActorStoppedError(f"{self.path}: was stopped", path=self.path, reason=self.reason)

    def unstarted_error(self) -> BaseException:
        """Return the error of a start that did not happen, where no code of the actor has failed."""
        return ActorStoppedError(f"{self.path}: ended before it had started", path=self.path, reason=self.reason)

    def report_stopped(self) -> None:
        """Settle what `stop()` returned."""
        request, self.stopping = self.stopping, None
        if request is not None:
            request.grant(self.reason)

    def report_suspended(self) -> None:
        """Settle what `suspend()` returned."""
        done, self._suspended = self._suspended, None
        if done is not None and not done.done():
            done.set_result(None)

    def settle(self) -> None:
        """Settle all that waits for the actor, which has ended for good."""
        self.stopping = ENDED
        reason = self.reason = self.reason if self.reason is not None else StopReason.SHUTDOWN
        self.current = None
        self.task = None
        self.close()
        if self.watching is not None:
            self.leave_watched()
        self.leave_parent()
        self._ref = None  # it leads back to here
        system = self.system
        system.actor_ended(self)
        if self._started is not None and not self._started.done():
            self._started.reject(self.start_error if self.start_error is not None else self.unstarted_error())
        if self._terminated is not None:
            self._terminated.resolve(reason)
        if self.watchers is not None:
            self.tell_watchers()
        if system.events.wanted:
            system.events.publish(EventKind.STOP, self.path, reason=reason, actor=self)
        supervisor = self.supervisor
        if supervisor is not None:
            supervisor.child_ended(self, reason)

    def judge(self) -> None:
        """The verdict on an exit: its supervisor's restart type gives it, or else its own supervision."""
        reason, wish = self.reason, self.life.wish
        assert reason is not None  # whatever leads to an exit gives one; test: test_every_exit_has_a_reason
        if self.spec is not None:
            restarts = self.supervisor is not None and self.supervisor.answers(self, reason)
        elif not isinstance(reason, BaseException) or (
            wish is not NO_WISH and (wish is Wish.OWN_STOP or wish is Wish.STOP)
        ):
            restarts = False  # without a specification a stop is for good, whatever happened meanwhile
        elif self.supervisor is not None:
            restarts = self.supervisor.answers(self, reason)
        else:
            restarts = self.props.supervision.max_restarts is None or self._may_restart_itself(reason)
        self.apply(_RESTARTS if restarts else _ENDS)

    def retry_start(self) -> None:
        """Have a restart that failed tried again; a supervisor was told by the report."""
        if self.supervisor is None:
            self.restart()

    def restart(self) -> None:
        """Have it started again: by its supervisor, or by its own supervision."""
        reason = self.reason
        if self.supervisor is not None:
            assert reason is not None  # that of the exit
            self.supervisor.child_down(self, reason)
            return
        self._restart_reason = reason
        if self.handled != self._handled_then:
            self._in_row, self._handled_then = 0, self.handled
        self._in_row += 1
        backoff = self.props.supervision.backoff
        if backoff is None or self._in_row == 1:
            self.apply(_START)
        else:
            delay = backoff.delay(self._in_row - 2, self.system.random)
            self._later = self.system.loop.call_later(delay, self._restart_now)

    def _restart_now(self) -> None:
        self._later = None
        self.apply(_START)

    def _may_restart_itself(self, error: BaseException) -> bool:
        """Return True if the supervision of the actor's own allows one more restart."""
        strategy = self.props.supervision
        if self._window is None:
            self._window = RestartWindow(strategy.max_restarts, strategy.within)
        if self._window.record(self.system.time()):
            return True
        _log.error(
            "actor.gave_up",
            actor=self.path,
            max_restarts=strategy.max_restarts,
            within=strategy.within,
        )
        self.system.events.publish(EventKind.ESCALATION, self.path, error=error, logged=True, actor=self)
        return False
