"""The cell of a durable class agent: its mailbox is on disk, and so is the state of its instance.

A message that is told or asked is written, as those of a durable actor are. A call (`inquire`) waits in memory, and is
recorded as a durable interaction. Each saves the state of the instance in the transaction that ends it.
"""

import hashlib
from typing import Any

from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.durable_cell import DURABLE_SLOTS, DurableMailbox
from miniagents.agents.agent import MiniAgent
from miniagents.agents.class_cell import ClassAgentActor, ClassAgentCell
from miniagents.agents.durable.identity import identity_of
from miniagents.agents.host import AgentHost
from miniagents.agents.interaction import Interaction
from miniagents.errors import InvalidOptionError


class DurableClassAgentActor(ClassAgentActor):
    """The actor around an instance of the user's class, whose state is saved after each call."""

    async def _call(self, interaction: Interaction) -> None:
        await super()._call(interaction)
        envelope = interaction.envelope
        if envelope is not None and envelope.message is interaction:  # else the message that became it saves the state
            inbox = self._cell.inbox
            assert inbox is not None  # that of a durable mailbox
            inbox.save()
            interaction.saves = inbox.saved


class DurableClassAgentCell(DurableMailbox, ClassAgentCell):
    """The cell of a durable class agent.

    Args:
        system: The system of the cell.
        parent: The cell above.
        name: The last part of the path.
        agent: The agent.
        is_activated: Whether the first use of the agent makes the cell.
    """

    __slots__ = DURABLE_SLOTS

    actor_class = DurableClassAgentActor

    def __init__(
        self, system: AgentHost, parent: Cell, name: str, agent: MiniAgent, *, is_activated: bool = False
    ) -> None:
        super().__init__(system, parent, name, agent, is_activated=is_activated)
        assert system.durable_mail is not None  # the system has a journal
        self.open_mailbox(system.durable_mail.inbox_of(self, agent.wrapped))

    def with_state(self, instance: Any) -> Any:
        """Return the instance of the user's class, which may have `snapshot` and `restore`."""
        return instance.instance


def stable_name(above: Cell, agent: MiniAgent) -> str:
    """Return the name of the cell that the first use of a durable class agent makes: the same in every process, in
    whatever order agents are used.

    Args:
        above: The cell above.
        agent: The agent.

    Raises:
        InvalidOptionError: Another agent has the name.
    """
    name = agent.alias
    if agent.arguments or agent.live_arguments:
        identity = identity_of(agent)
        name += f"-{hashlib.sha256(f'{identity.name} {identity.arguments}'.encode()).hexdigest()[:8]}"
    if above.children is not None and name in above.children:
        raise InvalidOptionError(
            f"{above.path}/{name}: two durable agents have this name, and the journal would mix their states; give one "
            f"of them another alias="
        )
    return name
