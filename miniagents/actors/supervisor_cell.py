"""The cell of a `Supervisor`: it handles no messages, its children are all that it does."""

from typing import Any

from miniagents.actors.deadletters import DeadLetterReason
from miniagents.actors.envelope import Envelope
from miniagents.actors.living_cell import LivingCell
from miniagents.actors.ref import ActorRef
from miniagents.actors.supervising import Keeper
from miniagents.actors.supervisor_ref import SupervisorRef
from miniagents.errors import RestartLimitError
from miniagents.supervision import StopReason, Supervisor
from miniagents.supervision.lifecycle import Event, Phase, Wish


class SupervisorCell(LivingCell):
    """The cell of one `Supervisor`. Its code are the jobs of its keeper: the start of the children, and their end.

    Args:
        system: Its system.
        parent: The cell that it is a child of.
        name: Its name.
        props: Options, which a supervisor has none of.
        supervisor: What it is made of.
    """

    __slots__ = ("_cause", "_instance", "supervisor")

    is_supervisor = True

    def __init__(self, system: Any, parent: Any, name: str, props: Any, supervisor: Supervisor) -> None:
        super().__init__(system, parent, name, props)
        self.supervisor = supervisor
        self.shutdown = None
        self._instance: Keeper | None = None
        self._cause: BaseException | None = None  # the crash that was one too many

    def new_ref(self) -> ActorRef:
        """Make the reference."""
        return SupervisorRef(self)

    def keeper_of_children(self) -> Keeper | None:
        """What supervises its children; None while there are none."""
        return self._instance

    @property
    def is_busy(self) -> bool:
        """Whether a live one has something to do: it waits for its children alone."""
        return False

    def post(self, envelope: Envelope) -> None:
        """A supervisor handles no messages."""
        if envelope.ask is not None:
            envelope.ask.stopped(self.reason if not self.is_alive else "it is a supervisor")
        letters = self.system.dead_letters
        reason = DeadLetterReason.SUPERVISOR if self.is_alive else DeadLetterReason.STOPPED
        letters.add(reason, envelope, self.ref)

    def wake(self) -> None:
        """There is never anything in its mailbox."""

    # What the table says

    def take_notice(self) -> None:
        """Let the keeper start the children, go on with their start no further, or stop them."""
        phase = self.life.phase
        if phase is Phase.DUE:
            supervisor = self.supervisor
            keeper = self._instance = Keeper(
                self, supervisor.strategy, supervisor.auto_shutdown, lambda cause: self._shut_down(keeper, cause)
            )
            if keeper.is_simple:
                keeper.template = supervisor.children[0]
            keeper.submit(lambda: self._start(keeper))
        elif self._instance is not None:
            keeper = self._instance
            keeper.submit(lambda: self._stop(keeper))
            keeper.urge_start()

    def interrupt(self) -> None:
        """Let its children end without a grace, or, where nothing but its start is to end, within theirs."""
        if self._instance is not None:
            if self.life.wish >= Wish.STOP:
                self._instance.hurry()
            else:
                self._instance.urge_start()

    async def _start(self, keeper: Keeper) -> None:
        if self._instance is keeper:
            self.apply(Event.BEGUN)
        if self._instance is not keeper or self.life.phase is not Phase.STARTING:
            keeper.close()  # this start is off, and another one may be due
            if self._instance is keeper:
                self._instance = None
            return
        restarted, self._restart_reason = self._restart_reason, None
        error = await keeper.start_all(self.supervisor.children)
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

    async def _stop(self, keeper: Keeper) -> None:
        if self._instance is keeper and self.life.phase is Phase.UP and self.life.wish is not Wish.NONE:
            await self._end(keeper)

    async def _shut_down(self, keeper: Keeper, cause: BaseException | None) -> None:
        """It gives up, or its significant children have ended."""
        if self._instance is not keeper or self.life.phase is not Phase.UP:
            return
        if cause is not None:
            self.failed(cause)
            self._cause = cause
        if self.life.wish is Wish.NONE:
            self.stop(reason=StopReason.SHUTDOWN, drain=False, own=True)
        await self._end(keeper)

    async def _end(self, keeper: Keeper) -> None:
        self.apply(Event.DRAINED)
        await keeper.stop_children()
        self._instance = None
        self.apply(Event.GONE)

    def restart(self) -> None:
        """Have it started again by its supervisor."""
        cause, self._cause = self._cause, None
        assert self.keeper is not None  # without one nobody restarts it
        self.keeper.child_down(self, cause if cause is not None else self.reason or StopReason.SHUTDOWN)

    def settle(self) -> None:
        """It has ended for good: settle everything that hangs on it, and tell those above of its failure."""
        super().settle()
        cause, self._cause = self._cause, None
        parent = self.parent
        if cause is None or self.keeper is not None or parent is None:
            return
        if parent.parent is None:
            self.system.fail(cause)
        else:
            error = RestartLimitError(f"{self.path}: the supervisor gave up", path=self.path)
            error.__cause__ = cause
            parent.crash(error)
