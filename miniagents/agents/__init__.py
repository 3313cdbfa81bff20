"""Agents: async functions and classes behind mailboxes, called with messages, answering with streams of them."""

from miniagents.agents.accounts import InteractionAccount
from miniagents.agents.agent import MiniAgent
from miniagents.agents.agent_pool import AgentPoolRef
from miniagents.agents.allowances import BudgetInfo, LimitInfo
from miniagents.agents.arguments import Live
from miniagents.agents.call import AgentCall
from miniagents.agents.call_target import AgentRef
from miniagents.agents.decorator import miniagent
from miniagents.agents.interaction import Interaction
from miniagents.agents.interaction_context import InteractionContext
from miniagents.agents.job_options import Change, Retry
from miniagents.agents.system import MiniAgents

__all__ = [
    "AgentCall",
    "AgentPoolRef",
    "AgentRef",
    "BudgetInfo",
    "Change",
    "Interaction",
    "InteractionAccount",
    "InteractionContext",
    "LimitInfo",
    "Live",
    "MiniAgent",
    "MiniAgents",
    "Retry",
    "miniagent",
]
