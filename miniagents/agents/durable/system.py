"""The durable kind of a system: what `MiniAgents` loads when it has a journal."""

from miniagents.agents.durable.durability import Durability
from miniagents.agents.durable.interaction import DurableInteraction, DurableReplyPromise
from miniagents.agents.durable.jobs import Jobs
from miniagents.agents.host import AgentHost
from miniagents.journal import Journal


def make_durable(system: AgentHost, journal: Journal, *, records_all: bool) -> Jobs:
    """Let the calls of a system be recorded in a journal.

    Args:
        system: The system.
        journal: Its journal.
        records_all: Whether the calls of all agents are recorded, and not only those of durable ones.

    Returns:
        The jobs of the system.
    """
    system.durability = Durability(journal, records_all=records_all)
    system.interaction_class = DurableInteraction
    system.reply_promise_class = DurableReplyPromise
    return Jobs(system, system.durability)
