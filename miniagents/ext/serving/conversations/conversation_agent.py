"""Instances: a class agent that belongs to one conversation."""

from dataclasses import replace
from typing import Any

from miniagents.actors import ActorRef
from miniagents.agents import MiniAgent
from miniagents.agents.agent import AgentOptions
from miniagents.agents.system import MiniAgents


class Instance:
    """An instance of a class agent, for one conversation.

    A class with the methods `get_state` and `set_state` manages the state of the conversation itself: `set_state` is
    called with the saved state after `__init__`, and `get_state` after each call. The state may be any value that a
    message field may have.

    Args:
        agent: The class agent.
        system: The system that runs the agent.
        state: The saved state; None if there is none.

    Attributes:
        agent: The agent to call.
        has_state: Whether the class has the two methods.
        state: The state after the last call.
    """

    def __init__(self, agent: MiniAgent, system: MiniAgents, state: Any) -> None:
        wrapped, arguments = agent.wrapped, {**agent.arguments, **agent.live_arguments}
        self.has_state = hasattr(wrapped, "get_state") and hasattr(wrapped, "set_state")
        self.state = state
        me = self

        class InConversation:
            def __init__(self) -> None:
                self._instance = wrapped(**arguments)
                if me.has_state and me.state is not None:
                    self._instance.set_state(me.state)

            async def __call__(self, ctx: Any, **arguments: Any) -> None:
                await self._instance(ctx, **arguments)
                if me.has_state:
                    me.state = self._instance.get_state()

        options = agent.options
        self.agent = MiniAgent(
            InConversation,
            alias=agent.alias,
            description=agent.description,
            # The instance is passivated together with its conversation, and not earlier.
            options=AgentOptions(options.errors, None, replace(options.spawn, passivate_after=None), options.version),
            arguments={},
            live_arguments={},
            system=system,
        )
        self._ref: ActorRef = system.activated(self.agent).ref

    def stop(self) -> None:
        """Stop the actor of the instance."""
        self._ref.stop()
