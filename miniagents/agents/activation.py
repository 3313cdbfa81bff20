"""Activation: the cells of agents, and the cell above those that the first use of an agent makes."""

import asyncio
from collections.abc import Mapping
from contextvars import Context
from typing import Any

from miniagents.actors import DeadLetterReason, SpawnOptions
from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.messaging.entries import Enveloped
from miniagents.actors.messaging.options import DEFAULT_OPTIONS, Props
from miniagents.agents.agent import MiniAgent
from miniagents.agents.class_cell import ClassAgentCell
from miniagents.agents.function_cell import FunctionAgentCell
from miniagents.agents.host import AgentHost
from miniagents.supervision.lifecycle import Event, Phase, Wish


class ActivationRoot(LivingCell):
    """The cell above the agents that are activated by their first use. Each agent has a supervision of its own.

    Args:
        system: The system of the cell.
        parent: The cell above.
        name: The last part of the path.
    """

    __slots__ = ("_ending",)

    is_serial = False
    kind = "agents"

    def __init__(self, system: AgentHost, parent: Cell, name: str) -> None:
        super().__init__(system, parent, name, Props(lambda: None, DEFAULT_OPTIONS))
        self._ending: asyncio.Task[None] | None = None

    def post(self, envelope: Enveloped) -> None:
        """Refuse a message: this cell handles none."""
        if envelope.ask is not None:
            envelope.ask.stopped("it handles no messages")
        self.system.dead_letters.add(DeadLetterReason.SUPERVISOR, envelope, self.ref)

    def take_notice(self) -> None:
        """Start at once, or end together with the cells below, the youngest first."""
        if self.life.phase is Phase.DUE:
            self.apply(Event.BEGUN)
            self.apply(Event.STARTED)
        elif self.life.phase is Phase.UP and self.life.wish is not Wish.NONE:
            self.apply(Event.DRAINED)
            self._end()

    def _end(self) -> None:
        if self.children:
            self._ending = self.system.loop.create_task(self.end_children(), context=Context())
            self._ending.add_done_callback(lambda _: self._end())  # again, if this was cut off
        else:
            self.apply(Event.GONE)


def new_agent_cell(
    system: AgentHost, parent: Cell, name: str, agent: MiniAgent, *, is_activated: bool = False
) -> ClassAgentCell | FunctionAgentCell:
    """Make the cell of an agent, without starting it."""
    if agent.options.spawn.durable:
        system.check_durable(f"{parent.path}/{name}")
    if agent.is_class:
        durability = system.durability
        if durability is not None and durability.keeps(agent):
            durable_cell: ClassAgentCell = durability.new_class_cell(system, parent, name, agent, is_activated)
            return durable_cell
        return ClassAgentCell(system, parent, name, agent, is_activated=is_activated)
    return FunctionAgentCell(system, parent, name, agent, is_activated=is_activated)


def spawned(agent: MiniAgent, options: SpawnOptions | None, arguments: Mapping[str, Any]) -> MiniAgent:
    """Return the agent that `spawn` makes an actor of. A spawned agent is not passivated."""
    if not arguments and options is None:
        return agent
    return agent.fork(options=options if options is not None else agent.options.spawn, kwargs=arguments)
