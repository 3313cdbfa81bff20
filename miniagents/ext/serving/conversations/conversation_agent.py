"""Instances: a class agent that one conversation has for itself."""

from dataclasses import replace
from typing import Any

from miniagents.actors import ActorRef
from miniagents.agents import MiniAgent
from miniagents.agents.agent import AgentOptions
from miniagents.agents.system import MiniAgents


class Instance:
    """An instance of a class agent, for one conversation.

    If the class has `get_state` and `set_state`, its state is its own affair: `set_state` gets what was saved, after
    `__init__`, and `get_state` is asked after each call. It may give whatever a message may hold.

    Args:
        agent: The agent of whose class it is.
        system: Where it lives.
        state: What was saved; None if nothing was.

    Attributes:
        agent: What calls go to.
        has_state: Whether the class has the two methods.
        state: What it gave after the last call.
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

            async def __call__(self, ctx: Any, **given: Any) -> None:
                await self._instance(ctx, **given)
                if me.has_state:
                    me.state = self._instance.get_state()

        options = agent.options
        self.agent = MiniAgent(
            InConversation,
            alias=agent.alias,
            description=agent.description,
            # It is passivated when the conversation is, and not before.
            options=AgentOptions(options.errors, None, replace(options.spawn, passivate_after=None)),
            arguments={},
            live_arguments={},
            system=system,
        )
        self._ref: ActorRef = system.activated(self.agent).ref

    def stop(self) -> None:
        """It is needed no more."""
        self._ref.stop()
