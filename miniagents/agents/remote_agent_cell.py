"""`RemoteAgentCell`: the cell of an agent that lives on another node. The code of its calls is that of a link."""

from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from miniagents.actors.cells.remote_cell import Link, RemoteCell
from miniagents.actors.messaging.identity import Identity
from miniagents.agents.agent import MiniAgent
from miniagents.agents.call_target import AgentRef
from miniagents.agents.host import AgentHost
from miniagents.agents.spending import SpendingCell
from miniagents.errors import ActorStoppedError
from miniagents.supervision.lifecycle import OVER

if TYPE_CHECKING:
    from miniagents.agents.interaction import Interaction
    from miniagents.agents.interaction_context import InteractionContext


class RemoteAgentCell(SpendingCell, RemoteCell):
    """The cell of an agent of another node.

    A call of it is an interaction of this system, in the place of the one there: it has its parent, its deadline and
    its trace here, and is cancelled here. Its code is `AgentLink.serve`, which hands on what is sent, and replies what
    is replied there.

    Args:
        system: The system here that uses it.
        identity: The agent's.
        link: The way to it.
        agent: The same agent here, which knows the arguments of a call.
    """

    __slots__ = ("agent", "spent_cost", "spent_tokens")

    is_activated = False
    system: AgentHost
    link: "AgentLink"

    def __init__(self, system: AgentHost, identity: Identity, link: "AgentLink", agent: MiniAgent) -> None:
        super().__init__(system, identity, link, AgentRef)
        self.agent = agent
        self.spent_tokens = 0
        self.spent_cost = 0.0

    def spend(self, call: "Interaction", tokens: int, cost: float | None) -> None:
        """Count what a model has used for a call there, in the tree of this node if the agent is in it."""
        placing = self.system.placing
        child = placing.child_here(self.uid) if placing is not None else None
        if child is not None and child.identity == self.identity:
            child.spend(call, tokens, cost)
        else:
            super().spend(call, tokens, cost)

    @property
    def takes_calls(self) -> bool:
        """Whether a call that is made now is handed on."""
        return self.life is not OVER

    def check_ready(self) -> None:
        """Refuse a call of an agent that has ended. Whether the one there is ready is not known here.

        Raises:
            ActorStoppedError: The agent has ended, or its node is lost.
        """
        if not self.takes_calls:
            raise ActorStoppedError(f"{self.path}: has ended", path=self.path, reason=self.reason)

    def take_call(self, interaction: "Interaction") -> None:
        """Begin a call."""
        if self.takes_calls:
            interaction.run_soon()
        else:
            interaction.stopped(self.reason)

    def call(self, interaction: "Interaction") -> Awaitable[object]:
        """Make the code of a call: that of the link."""
        ctx = interaction.ctx = self.system.context_class(interaction)
        return self.link.serve(self, ctx, interaction.arguments)

    def interaction_ended(self, interaction: "Interaction") -> None:
        """Do nothing: calls are counted where the agent is."""


class AgentLink(Link, Protocol):
    """A link that hands on the calls of agents, too."""

    def serve(self, cell: RemoteAgentCell, ctx: "InteractionContext", arguments: Any) -> Coroutine[Any, Any, None]:
        """Make the code of a call, as that of an agent.

        It sends `ctx.message_promises` there as they come, and gives to `ctx.reply` what is replied, as that comes. It
        raises what the call there failed with, and `ActorStoppedError` with the cause when the node is lost. When it is
        cancelled, it cancels the call there, and waits until that has ended.
        """
