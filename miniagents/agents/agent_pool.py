"""Pools of agents, which can be called as one agent."""

from collections.abc import Awaitable
from typing import Any

from miniagents.actors import ActorRef, SupervisorRef
from miniagents.actors.cells.absent import let_travel
from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.receiving_cell import ReceivingCell
from miniagents.actors.messaging.options import Props
from miniagents.actors.supervisors.pool import PoolCell
from miniagents.agents.agent import MiniAgent
from miniagents.agents.agent_cell import AbsentAgentCell
from miniagents.agents.call_target import CallTarget
from miniagents.agents.host import AgentHost, ServingCell
from miniagents.agents.interaction import Interaction
from miniagents.errors import ActorStoppedError
from miniagents.messages import MessageSequencePromise
from miniagents.messages.message import MessageT_co
from miniagents.supervision import Pool, Routing


class AgentPoolRef(CallTarget[MessageT_co], SupervisorRef):
    """The reference of a pool of agents: a `SupervisorRef` that can be called, too. The member that routing chooses
    serves the call.

    Example:
        >>> @miniagent
        ... async def echo(ctx):
        ...     ctx.reply(ctx.message_promises)
        >>> async with MiniAgents() as system:
        ...     pool = await system.pool(echo, size=2)
        ...     print(await pool.inquire("Hello"))
        Hello
    """

    __slots__ = ()

    def called_agent(self) -> MiniAgent[MessageT_co]:
        agent: MiniAgent[Any] = self._called_cell().agent
        return agent

    def _called_cell(self) -> ServingCell[Interaction]:
        cell: Any = self._cell  # of the pool, since only `new_ref` of its cell makes a reference of this class
        return cell  # type: ignore[no-any-return]


let_travel(AgentPoolRef, "agent_pool", AbsentAgentCell)


class AgentPoolCell(PoolCell):
    """The cell of a pool of agents.

    Args:
        system: The system of the cell.
        parent: The cell above.
        name: The last part of the path.
        props: The options of a supervisor.
        supervisor: The pool.
        agent: The agent that each member is.
    """

    __slots__ = ("agent",)

    is_activated = False

    system: AgentHost

    def __init__(
        self, system: AgentHost, parent: Cell, name: str, props: Props, supervisor: Pool, agent: MiniAgent
    ) -> None:
        super().__init__(system, parent, name, props, supervisor)
        self.agent = agent

    @property
    def type_name(self) -> str:
        """The name of the agent that each member is."""
        return self.agent.alias

    def new_ref(self) -> ActorRef:
        """Make a reference that can be called."""
        return AgentPoolRef(self)

    def check_ready(self) -> None:
        """Check that a call would be in the mailbox of a member at once; see `CallTarget.check_ready`."""
        if not self.is_open or not self.children:
            raise ActorStoppedError(f"{self.path}: is {self.state.value}", path=self.path, reason=self.reason)
        members: list[Any] = list(self.children.values())
        for member in members[:-1]:
            if member.is_ready():
                return
        members[-1].check_ready()

    def assign(self, interaction: Interaction) -> None:
        """Choose the member that serves a call which is about to begin, if its messages tell that already."""
        is_hashed = self.supervisor_spec.routing is Routing.CONSISTENT_HASH
        message = _first(interaction.message_promises) if is_hashed else None
        if self.is_open and message is not _UNKNOWN:
            try:
                member = self.pick(message)
            except Exception:  # of the user's `key=`: the call fails with it when it has begun
                return
            if member is not None:
                interaction.cell = member

    def take_call(self, interaction: Interaction) -> None:
        """Begin a call whose member was not known before."""
        if not self.is_open:
            ReceivingCell.post(self, interaction.in_envelope())
        elif _first(interaction.message_promises) is _UNKNOWN:
            interaction.start_soon(self._take_by_key(interaction))
        else:
            self._hand_on(interaction.in_envelope())

    async def _take_by_key(self, interaction: Interaction) -> None:
        """Begin a call when its first message is there, which its member depends on."""
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
        """Do nothing: the call has ended before a member had it."""

    def call(self, interaction: Interaction) -> Awaitable[object]:
        """Run nothing: the code of a call is that of a member."""
        raise NotImplementedError

    def end_unserved(self) -> None:
        """Do nothing: a pool has no code."""


_UNKNOWN = object()
"""In the place of a message that is still on its way."""


def _first(messages: MessageSequencePromise) -> object:
    """Return the first message of a call, None if there is none, `_UNKNOWN` while that is not known."""
    return messages.first_now(_UNKNOWN)
