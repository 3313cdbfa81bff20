"""The cell of a `Supervisor`: it handles no messages, its children are all that it does."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from miniagents.actors.cell import Cell
from miniagents.actors.deadletters import DeadLetterReason
from miniagents.actors.envelope import Envelope
from miniagents.actors.events import EventKind
from miniagents.actors.ref import ActorRef
from miniagents.actors.state import IDLE, RESTARTING, STOPPED, STOPPING
from miniagents.actors.supervising import Keeper
from miniagents.actors.supervisor_ref import SupervisorRef
from miniagents.errors import RestartLimitError, StartError
from miniagents.supervision import StopReason, Supervisor

_log = structlog.get_logger("miniagents")


class SupervisorCell(Cell):
    """The cell of one `Supervisor`.

    Args:
        system: Its system.
        parent: The cell that it is a child of.
        name: Its name.
        props: Options, which a supervisor has none of.
        supervisor: What it is made of.
    """

    __slots__ = ("_instance", "_suspending", "supervisor")

    is_supervisor = True

    def __init__(self, system: Any, parent: Any, name: str, props: Any, supervisor: Supervisor) -> None:
        super().__init__(system, parent, name, props)
        self.supervisor = supervisor
        self.shutdown = None
        self._instance: Keeper | None = None
        self._suspending: asyncio.Future[None] | None = None

    def new_ref(self) -> ActorRef:
        """Make the reference."""
        return SupervisorRef(self)

    def keeper_of_children(self) -> Keeper | None:
        """What supervises its children; None while there are none."""
        return self._instance

    def post(self, envelope: Envelope) -> None:
        """A supervisor handles no messages."""
        if envelope.ask is not None:
            envelope.ask.stopped(self.reason if self.reason is not None else "it is a supervisor")
        letters = self.system.dead_letters
        reason = DeadLetterReason.SUPERVISOR if self.is_alive else DeadLetterReason.STOPPED
        letters.add(reason, envelope, self.ref)

    def wake(self) -> None:
        """There is never anything in its mailbox."""

    # Start

    def begin(self) -> None:
        """Start the children."""
        self._fresh_keeper().submit(lambda: self._init(None))

    def resume(self, reason: StopReason | BaseException, on_started: Callable[[BaseException | None], None]) -> None:
        """Start afresh behind the same reference."""
        self.on_started = on_started
        self._fresh_keeper().submit(lambda: self._init(reason))

    def _fresh_keeper(self) -> Keeper:
        supervisor = self.supervisor
        keeper = self._instance = Keeper(self, supervisor.strategy, supervisor.auto_shutdown, self._shut_down)
        return keeper

    async def _init(self, restarted: StopReason | BaseException | None) -> None:
        keeper = self._instance
        assert keeper is not None
        error = await keeper.start_all(self.supervisor.children)
        if error is not None:
            self._instance = None
            self._start_failed(error, restarted)
            return
        if restarted is None:
            self.system.events.publish(EventKind.SPAWN, self.path)
        else:
            self.restarts += 1
            self.system.events.publish(EventKind.RESTART, self.path, reason=restarted)
        self.state = IDLE
        if self._started is not None:
            self._started._resolve(None)
        self.report_started(None)

    def _start_failed(self, error: StartError, restarted: StopReason | BaseException | None) -> None:
        self.failed(error)
        stopping = self.stopping
        if restarted is None or stopping is not None:
            self.start_error = error if restarted is None else None
            self.ended(error if stopping is None else stopping.reason)
        else:
            self.state = RESTARTING
        self.report_started(error)
        self._tell_suspended()

    def cancel_start(self) -> None:
        """Its start takes too long: cut off the child that hangs."""
        keeper = self._instance
        if keeper is not None and keeper._starting is not None:
            keeper.urge(keeper._starting)

    # End

    def stop_requested(self, *, escalated: bool) -> None:
        """The end was asked for."""
        keeper = self._instance
        if keeper is None:
            if self.state is RESTARTING and self.stopping is not None:
                self.ended(self.stopping.reason)
        elif not escalated or self.state is not STOPPING:
            keeper.submit_stop(self._stop)

    async def _stop(self) -> None:
        stopping = self.stopping
        if self._instance is None or stopping is None or self.state is STOPPED:
            return
        self.state = STOPPING
        await self._instance.stop_children(kill=stopping.reason is StopReason.KILLED)
        self._exit(stopping.reason, None)

    async def _shut_down(self, cause: BaseException | None) -> None:
        """It gives up, or its significant children have ended."""
        if self._instance is None:
            return
        self.state = STOPPING
        if cause is not None:
            self.failed(cause)
        await self._instance.stop_children()
        self._exit(StopReason.SHUTDOWN, cause)

    def _exit(self, reason: StopReason, cause: BaseException | None) -> None:
        self._instance = None
        stopping, keeper = self.stopping, self.keeper
        if self._suspending is not None:
            self._suspended()
        elif (stopping is None or stopping.judged) and keeper is not None and keeper.answers(self, reason):
            self.stopping = None
            if stopping is not None:
                stopping.ended._resolve(reason)
            self.state = RESTARTING
            keeper.child_down(self, cause if cause is not None else reason)
        else:
            self.ended(reason)
            if cause is not None and keeper is None:
                self._escalate(cause)

    def _escalate(self, cause: BaseException) -> None:
        parent = self.parent
        assert parent is not None
        if parent.parent is None:
            self.system.fail(cause)
        else:
            error = RestartLimitError(f"{self.path}: the supervisor gave up", path=self.path)
            error.__cause__ = cause
            parent.crash(error)

    def finish(self, reason: StopReason | BaseException) -> None:
        """Its supervisor will not start it again."""
        if self.state is not STOPPED:
            self.ended(reason)

    # Restart with siblings

    def suspend(self) -> "asyncio.Future[None]":
        """Stop the children, and keep the reference: its supervisor will start it again."""
        done = self._suspending
        if done is None:
            done = self.system.loop.create_future()
            if self._instance is None:
                done.set_result(None)
                return done
            self._suspending = done
            self._instance.submit_stop(self._stop_for_suspension)
        return done

    async def _stop_for_suspension(self) -> None:
        if self._instance is None:
            self._tell_suspended()
            return
        self.state = STOPPING
        await self._instance.stop_children()
        self._instance = None
        self._suspended()

    def _suspended(self) -> None:
        self.state = RESTARTING
        stopping, self.stopping = self.stopping, None
        if stopping is not None:
            stopping.ended._resolve(StopReason.SHUTDOWN)
        self._tell_suspended()

    def _tell_suspended(self) -> None:
        done, self._suspending = self._suspending, None
        if done is not None and not done.done():
            done.set_result(None)
