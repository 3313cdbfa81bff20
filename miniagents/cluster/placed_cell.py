"""`PlacedCell`: a child whose code runs on another node. It is here in the tree, under its supervisor.

The cell lives by the same table as every other one. In the place of code it has the cell on the other node: it asks
that one to start, to restart or to end, and takes the events of its own life from what is reported. Messages do not
pass here: the reference of the child leads to the other node.

Who ends its waits: the reports of the other node, or the loss of that node, which is the end of the child.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from miniagents.actors.cells.actor_cell import name_of_factory
from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.cells.remote_cell import RemoteCell
from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.entries import Enveloped
from miniagents.actors.messaging.identity import Identity
from miniagents.actors.messaging.options import Props, SpawnOptions
from miniagents.actors.messaging.ref import ActorRef
from miniagents.agents.activation import spawned
from miniagents.agents.agent import MiniAgent
from miniagents.agents.call_target import AgentRef
from miniagents.agents.remote_agent_cell import RemoteAgentCell
from miniagents.agents.spending import SpendingCell
from miniagents.cluster import hosting, items
from miniagents.cluster.frames import check_size, pack
from miniagents.cluster.names import factory_to_wire, options_to_wire
from miniagents.cluster.transport import NodeId
from miniagents.errors import NodeLostError
from miniagents.supervision import StopReason
from miniagents.supervision.lifecycle import OVER, Event, Phase, Wish

if TYPE_CHECKING:
    from miniagents.actors.waiting.termination import StopRequest
    from miniagents.agents.interaction import Interaction
    from miniagents.cluster.placing import Placing

_WITH_CODE = (Phase.STARTING, Phase.UP, Phase.DOOMED)


class PlacedCell(SpendingCell, LivingCell):
    """The cell of a child on another node.

    Args:
        placing: What places actors from here.
        parent: The cell that it is a child of.
        name: Its name.
        node: The node that it lives on.
        actor: The class of actors, or the agent.
        options: Its options.
        kwargs: The arguments of its constructor.

    Raises:
        NotSendableError: It cannot be made on another node.
        UnencodableError: The wire cannot carry an argument.
    """

    __slots__ = (
        "_asked",
        "_factory",
        "_moved",
        "_options",
        "_placing",
        "lives_on",
        "made_of",
        "remote",
        "spent_cost",
        "spent_tokens",
    )

    is_activated = False
    is_serial = False
    queue: Any
    stopping: "StopRequest | None"

    def __init__(
        self,
        placing: "Placing",
        parent: Cell,
        name: str,
        node: NodeId,
        actor: Any,
        options: SpawnOptions,
        kwargs: Mapping[str, Any],
    ) -> None:
        system = placing.nodes.system
        super().__init__(system, parent, name, Props(lambda: None, options))
        self._placing = placing
        self._options = options_to_wire(options, self.path)
        self._factory = factory_to_wire(actor, kwargs, self.path)
        self._asked = Wish.NONE
        self._moved: NodeLostError | None = None
        self.spent_tokens = 0
        self.spent_cost = 0.0
        self.made_of = (actor, options, kwargs)
        self.lives_on = node
        identity = Identity(system.id, node.name, node.epoch, self.path, self.uid)
        kind = AgentRef if isinstance(actor, MiniAgent) else ActorRef
        self.remote: RemoteCell = placing.nodes.find(identity, kind)
        self.remote.overflow = options.mailbox.overflow
        if isinstance(actor, MiniAgent) and isinstance(self.remote, RemoteAgentCell):
            self.remote.agent = spawned(actor, None, kwargs)  # by its name and version its calls are recorded

    # Identity

    @property
    def identity(self) -> Identity:
        """The identity: that of the cell on the other node."""
        return self.remote.identity

    @property
    def node_name(self) -> str:
        """The name of the node that it lives on."""
        return self.lives_on.name

    @property
    def node_epoch(self) -> int:
        """The life of that node."""
        return self.lives_on.epoch

    @property
    def kind(self) -> str:  # type: ignore[override]
        """The kind of actor."""
        actor = self.made_of[0]
        return "actor" if not isinstance(actor, MiniAgent) else "class agent" if actor.is_class else "agent"

    @property
    def type_name(self) -> str:
        """The name of the actor's class, or of the agent."""
        actor = self.made_of[0]
        return actor.alias if isinstance(actor, MiniAgent) else name_of_factory(actor)

    def new_ref(self) -> ActorRef:
        """Return the reference to the actor on the other node."""
        return self.remote.ref

    # Messages, where a pool hands them on

    def post(self, envelope: Enveloped) -> None:
        """Hand a message on to the other node."""
        if isinstance(envelope, Ask):
            envelope.cell = self.remote  # type: ignore[assignment]  # it does what an ask needs of a cell
        self.remote.post(envelope)

    @property
    def load(self) -> int:
        """How many questions to the actor have no answer yet."""
        return self.remote.load

    async def room(self) -> None:
        """Wait for room on the other node."""
        await self.remote.room()

    def is_full(self) -> bool:
        """Return False: the mailbox is elsewhere."""
        return False

    def wake(self) -> None:
        """There is never anything in its mailbox."""

    # Calls, where a pool of agents hands them on

    def is_ready(self) -> bool:
        """Whether a call that is made now is handed on."""
        return bool(self._agent_cell.takes_calls)

    def check_ready(self) -> None:
        """Refuse a call of an agent that has ended there.

        Raises:
            ActorStoppedError: The agent has ended, or its node is lost.
        """
        self._agent_cell.check_ready()

    def take_call(self, interaction: "Interaction") -> None:
        """Let the cell of the agent on the other node have a call."""
        remote = interaction.cell = self._agent_cell
        remote.take_call(interaction)

    def interaction_ended(self, interaction: "Interaction") -> None:
        """Do nothing: the call has ended before the other node had it."""

    @property
    def _agent_cell(self) -> Any:
        return self.remote  # that of an agent, since a pool of agents is all that calls these

    # What the table says

    def take_notice(self) -> None:
        """Have the other node do what was asked of the cell."""
        phase, wish = self.life.phase, self.life.wish
        if phase is Phase.DUE:
            again, reason = self.life.again, self._restart_reason
            self._restart_reason = None
            self._asked = Wish.NONE
            self.apply(Event.BEGUN)
            if again:
                self._ask(hosting.RESUME, reason)
            else:
                self._spawn()
        elif phase in _WITH_CODE and wish > self._asked:
            self._asked = wish
            if wish is Wish.SUSPEND:
                self._ask(hosting.SUSPEND)
            elif wish is Wish.TERMINATE:
                self._ask(hosting.TERMINATE, self.reason)
            else:
                self.remote.stop(reason=StopReason.SHUTDOWN, drain=wish is Wish.DRAIN)

    def interrupt(self) -> None:
        """Have the other node cut the start off, or end the actor without a grace."""
        if self.life.phase is Phase.STARTING and self.life.wish < Wish.SUSPEND:
            self._ask(hosting.CANCEL_START)
        else:
            self._ask(hosting.TERMINATE, StopReason.KILLED)

    def cuts_off(self, reason: StopReason) -> bool:
        """Return False: the other node ends the instance within its grace. A kill there would end the actor."""
        return False

    def arm_grace(self) -> None:
        """Do nothing: the other node gives the grace. If it does not answer, it is lost."""

    def _spawn(self) -> None:
        restart = None if self.supervisor is None else self.spec.restart.value if self.spec else hosting.SPAWNED
        parent = self.parent
        above = None
        if parent is not None and parent.parent is not None:
            above = items.value_to_wire(parent.ref, "parent")
        made_of = [self._factory, self._options, restart, self.shutdown]
        data = pack([items.SPAWN, self.uid, self.path, above, *made_of, self._placing.nodes.new_numbers()])
        check_size(data, self.path)
        self._placing.placed(self)
        # As control, so that a stop, which is control, does not come before it.
        self.remote.link.channel.send(data, control=True)  # type: ignore[attr-defined]  # the link of nodes has one
        self.remote.add_watcher(self)

    def _ask(self, what: str, reason: StopReason | BaseException | None = None, *, control: bool = True) -> None:
        wire = items.reason_to_wire(reason) if reason is not None else None
        data = pack([items.CHILD_ASK, self.uid, what, wire])
        self.remote.link.channel.send(data, control=control)  # type: ignore[attr-defined]

    def move(self, error: NodeLostError) -> None:
        """End the child within its time to shut down, and have it placed again, as if `error` had lost it."""
        if self._moved is None:
            self._moved = error
            self._ask(hosting.TERMINATE, StopReason.SHUTDOWN)

    # What is reported

    def reported(self, what: str, reason: StopReason | BaseException | None) -> None:
        """Take a report of the other node."""
        phase, wish = self.life.phase, self.life.wish
        if what == hosting.STARTED and phase is Phase.STARTING:
            is_first = not self.life.again
            self.apply(Event.STARTED)
            self.announce_start(is_first, reason)
        elif what == hosting.UNSTARTED and phase is Phase.STARTING:
            self._start_failed(reason)
        elif what == hosting.DOWN and phase in _WITH_CODE and wish < Wish.SUSPEND:
            self.reason = reason
            if isinstance(reason, BaseException):
                self.failed(reason)
            if phase is Phase.STARTING:
                self.apply(Event.STARTED)  # the report of the start is behind that of a crash in the start
            self.apply(Event.CRASHED)
            self.apply(Event.GONE)
        elif what == hosting.SUSPENDED and phase in _WITH_CODE and wish is Wish.SUSPEND:
            self.apply(Event.ABANDON if phase is Phase.STARTING else Event.DRAINED)
            self.apply(Event.GONE)

    def _start_failed(self, reason: StopReason | BaseException | None) -> None:
        error = reason if isinstance(reason, BaseException) else self.unstarted_error()
        self.start_error = error
        self.failed(error)
        if self.life.wish < Wish.STOP:
            self.reason = error
        self.apply(Event.START_FAILED)
        self.apply(Event.GONE)

    def tell_terminated(self, target: Any) -> None:
        """The actor on the other node has ended for good, or with its node."""
        if target is not self.remote:
            super().tell_terminated(target)
            return
        if self.life is OVER:
            return
        reason = target.reason if self._moved is None else self._moved
        self.reason = reason
        if self.life.phase is Phase.STARTING and isinstance(reason, BaseException):
            self.start_error = reason
        if self.life.phase in _WITH_CODE:
            self.apply(Event.ABANDON)
            self.apply(Event.GONE)
        else:
            self.apply(Event.TERMINATE)

    def settle(self) -> None:
        """Settle all that waits for the child. If its node is lost and it has no supervisor, place it again."""
        has_ended_there = not self.remote.is_alive
        self.remote.remove_watcher(self)
        self._placing.gone(self)
        super().settle()
        if not has_ended_there:
            self._ask(hosting.TERMINATE, self.reason if isinstance(self.reason, StopReason) else None)
        elif self.supervisor is None and isinstance(self.reason, NodeLostError):
            self._placing.place_again(self)
