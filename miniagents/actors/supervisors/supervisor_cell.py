"""The cell of a `Supervisor`: it handles no messages, its children are all that it does."""

from typing import TYPE_CHECKING

from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.entries import Enveloped
from miniagents.actors.messaging.options import Props
from miniagents.actors.messaging.ref import ActorRef
from miniagents.actors.supervisors.running_supervisor import RunningSupervisor
from miniagents.actors.supervisors.supervisor_ref import SupervisorRef
from miniagents.errors import RestartLimitError
from miniagents.supervision import StopReason, Supervisor
from miniagents.supervision.lifecycle import Event, Phase, Wish

if TYPE_CHECKING:
    from miniagents.actors.cells.cell_ports import System
    from miniagents.actors.ports import Writing


class SupervisorCell(LivingCell):
    """The cell of one `Supervisor`. Its code are the jobs of its supervisor: the start of the children, and their end.

    Args:
        system: Its system.
        parent: The cell that it is a child of.
        name: Its name.
        props: Options, which a supervisor has none of.
        supervisor_spec: What it is made of.
    """

    __slots__ = ("_cause", "_instance", "supervisor_spec")

    is_supervisor = True
    kind = "supervisor"

    def __init__(self, system: "System", parent: Cell, name: str, props: Props, supervisor_spec: Supervisor) -> None:
        super().__init__(system, parent, name, props)
        self.supervisor_spec = supervisor_spec
        self.shutdown = None
        self._instance: RunningSupervisor | None = None
        self._cause: BaseException | None = None  # the crash that was one too many

    def new_ref(self) -> ActorRef:
        """Make the reference."""
        return SupervisorRef(self)

    def running_supervisor(self) -> RunningSupervisor | None:
        """Return the running supervisor; None while there are no children."""
        return self._instance

    @property
    def is_busy(self) -> bool:
        """False: it only waits for its children."""
        return False

    def post(self, envelope: Enveloped) -> "Writing | None":
        """A supervisor handles no messages."""
        if envelope.ask is not None:
            envelope.ask.stopped(self.reason if not self.is_alive else "it is a supervisor")
        letters = self.system.dead_letters
        reason = DeadLetterReason.SUPERVISOR if self.is_alive else DeadLetterReason.STOPPED
        letters.add(reason, envelope, self.ref)
        return None

    def wake(self) -> None:
        """There is never anything in its mailbox."""

    # What the table says

    def take_notice(self) -> None:
        """Let the supervisor start the children, go on with their start no further, or stop them."""
        phase = self.life.phase
        if phase is Phase.DUE:
            spec = self.supervisor_spec
            running = self._instance = RunningSupervisor(
                self, spec.strategy, spec.auto_shutdown, lambda cause: self._shut_down(running, cause)
            )
            if running.is_simple:
                running.template = spec.children[0]
            running.submit(lambda: self._start(running))
        elif self._instance is not None:
            running = self._instance
            running.submit(lambda: self._stop(running))
            running.limit_start()

    def interrupt(self) -> None:
        """Let its children end without a grace, or, where nothing but its start is to end, within theirs."""
        if self._instance is not None:
            if self.life.wish >= Wish.STOP:
                self._instance.hurry()
            else:
                self._instance.limit_start()

    async def _start(self, running: RunningSupervisor) -> None:
        if self._instance is running:
            self.apply(Event.BEGUN)
        if self._instance is not running or self.life.phase is not Phase.STARTING:
            running.close()  # this start is off, and another one may be due
            if self._instance is running:
                self._instance = None
            return
        restarted, self._restart_reason = self._restart_reason, None
        error = await running.start_all(self.supervisor_spec.children)
        if error is not None:
            self.failed(error)
            self.start_error = error
            if self.life.wish < Wish.STOP:
                self.reason = error
            self._instance = None
            self.apply(Event.START_FAILED)
            self.apply(Event.GONE)
            return
        is_first = not self.life.again
        self.apply(Event.STARTED)
        self.announce_start(is_first, restarted)

    async def _stop(self, running: RunningSupervisor) -> None:
        if self._instance is running and self.life.phase is Phase.UP and self.life.wish is not Wish.NONE:
            await self._end(running)

    async def _shut_down(self, running: RunningSupervisor, cause: BaseException | None) -> None:
        """End: the supervisor gives up, or its significant children have ended."""
        if self._instance is not running or self.life.phase is not Phase.UP:
            return
        if cause is not None:
            self.failed(cause)
            self._cause = cause
        if self.life.wish is Wish.NONE:
            self.stop(reason=StopReason.SHUTDOWN, drain=False, own=True)
        await self._end(running)

    async def _end(self, running: RunningSupervisor) -> None:
        self.apply(Event.DRAINED)
        await running.stop_children()
        self._instance = None
        self.apply(Event.GONE)

    def restart(self) -> None:
        """Have it started again by its supervisor."""
        cause, self._cause = self._cause, None
        assert self.supervisor is not None  # without one nobody restarts it
        self.supervisor.child_down(self, cause if cause is not None else self.reason or StopReason.SHUTDOWN)

    def settle(self) -> None:
        """Settle all that waits for the supervisor, which has ended for good, and crash its parent if it gave up."""
        super().settle()
        cause, self._cause = self._cause, None
        parent = self.parent
        if cause is None or self.supervisor is not None or parent is None:
            return
        if parent.parent is None:
            self.system.fail(cause)
        else:
            error = RestartLimitError(f"{self.path}: the supervisor gave up", path=self.path)
            error.__cause__ = cause
            parent.crash(error)
