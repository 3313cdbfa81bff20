"""Agents: async functions and classes behind mailboxes, called with messages, answering with streams of them."""

from miniagents.miniagents.agent import MiniAgent, miniagent
from miniagents.miniagents.agent_cell import AgentRef
from miniagents.miniagents.agent_pool import AgentPoolRef
from miniagents.miniagents.arguments import Live
from miniagents.miniagents.call import AgentCall
from miniagents.miniagents.context import InteractionContext
from miniagents.miniagents.interaction import Interaction
from miniagents.miniagents.system import MiniAgents

__all__ = [
    "AgentCall",
    "AgentPoolRef",
    "AgentRef",
    "Interaction",
    "InteractionContext",
    "Live",
    "MiniAgent",
    "MiniAgents",
    "miniagent",
]
