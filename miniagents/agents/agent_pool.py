"""Pools of agents: a pool that can be called as one agent."""

from typing import TYPE_CHECKING, Any

from miniagents.actors import ActorRef, SupervisorRef
from miniagents.actors.cells.absent import let_travel
from miniagents.actors.cells.receiving_cell import ReceivingCell
from miniagents.actors.supervisors.pool import PoolCell
from miniagents.agents.agent_cell import AbsentAgentCell
from miniagents.agents.call_target import CallTarget
from miniagents.agents.interaction import Interaction
from miniagents.errors import ActorStoppedError
from miniagents.messages import MessageSequencePromise
from miniagents.promising import Promise
from miniagents.supervision import Pool, Routing

if TYPE_CHECKING:
    from miniagents.agents.agent import MiniAgent


class AgentPoolRef(CallTarget, SupervisorRef):
    """The reference of a pool of agents: what a `SupervisorRef` does, and calls. The member that routing chooses serves
    the call."""

    __slots__ = ()

    def _called_agent(self) -> "MiniAgent":
        return self._called_cell().agent  # type: ignore[no-any-return]

    def _called_cell(self) -> Any:
        return self._cell


let_travel(AgentPoolRef, "agent_pool", AbsentAgentCell)


class AgentPoolCell(PoolCell):
    """The cell of a pool of agents.

    Attributes:
        agent: What its members are.
    """

    __slots__ = ("agent",)

    is_activated = False

    def __init__(self, system: Any, parent: Any, name: str, props: Any, supervisor: Pool, agent: "MiniAgent") -> None:
        super().__init__(system, parent, name, props, supervisor)
        self.agent = agent

    def new_ref(self) -> ActorRef:
        """A reference that can call."""
        return AgentPoolRef(self)

    def check_ready(self) -> None:
        """Check that a member would take a call at once; see `CallTarget.check_ready`."""
        if not self.is_open or not self.children:
            raise ActorStoppedError(f"{self.path}: is {self.state.value}", path=self.path, reason=self.reason)
        members: list[Any] = list(self.children.values())
        for member in members[:-1]:
            if member.is_ready():
                return
        members[-1].check_ready()

    def assign(self, interaction: Interaction) -> None:
        """A call is about to begin: it is its member's from the start, where that can be said now."""
        hashed = self.supervisor_spec.routing is Routing.CONSISTENT_HASH
        message = _first(interaction.message_promises) if hashed else None
        if self.is_open and message is not _UNKNOWN:
            try:
                member = self.pick(message)
            except Exception:  # of the user's `key=`: the call fails with it when it has begun
                return
            if member is not None:
                interaction.cell = member

    def take_call(self, interaction: Interaction) -> None:
        """A call begins whose member was not known before."""
        if not self.is_open:
            ReceivingCell.post(self, interaction.in_envelope())
        elif _first(interaction.message_promises) is _UNKNOWN:
            interaction.start_soon(self._take_by_key(interaction))
        else:
            self._hand_on(interaction.in_envelope())

    async def _take_by_key(self, interaction: Interaction) -> None:
        """The first message is still on its way."""
        try:
            async for message in interaction.message_promises:
                await message
                break
        except Exception as error:
            interaction.fail(error)
        if not interaction.done():
            self.take_call(interaction)

    def _hand_on(self, envelope: Any) -> None:
        interaction = envelope.message
        if not isinstance(interaction, Interaction):
            super()._hand_on(envelope)
            return
        envelope.taken = True
        first = _first(interaction.message_promises)
        if first is _UNKNOWN and self.supervisor_spec.routing is Routing.CONSISTENT_HASH:
            interaction.start_soon(self._take_by_key(interaction))
            return
        try:
            member = self.pick(first)
        except Exception as error:  # of the user's `key=`
            interaction.fail(error)
            return
        if member is None:
            self._refuse(envelope)
            return
        interaction.cell = member
        member.take_call(interaction)

    def interaction_ended(self, interaction: Interaction) -> None:
        """A call has ended before a member had it."""


_UNKNOWN: Any = object()


def _first(messages: MessageSequencePromise) -> Any:
    """The first message of a call, None if there is none, `_UNKNOWN` while nobody can say."""
    pieces = messages.pieces
    if not pieces:
        return None if messages.finished else _UNKNOWN
    first: Any = pieces[0]
    return first.result() if isinstance(first, Promise) and first.done() and first.settled_error is None else _UNKNOWN
