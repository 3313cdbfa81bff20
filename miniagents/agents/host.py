"""`AgentHost`: the part of a system that agents call into, below the agents themselves."""

from typing import Any

from miniagents.actors import ActorSystem


class AgentHost(ActorSystem):
    """A system that can serve calls of agents; `MiniAgents` is the one."""

    serves_agents = True
    _public_name = "MiniAgents"

    def activated(self, agent: Any) -> Any:
        """The cell that serves an agent's calls; its first use makes it."""
        raise NotImplementedError
