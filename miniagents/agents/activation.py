"""The cell above the agents that their first use activates, and which kind of cell an agent gets."""

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Any

import structlog

from miniagents.actors import DeadLetterReason, SpawnOptions
from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.messaging.entries import Enveloped
from miniagents.actors.messaging.options import DEFAULT_OPTIONS, Props
from miniagents.agents.class_cell import ClassAgentCell
from miniagents.agents.function_cell import FunctionAgentCell
from miniagents.supervision.lifecycle import Event, Phase, Wish

if TYPE_CHECKING:
    from miniagents.agents.agent import MiniAgent
    from miniagents.agents.system import MiniAgents

_log = structlog.get_logger("miniagents")


class ActivationRoot(LivingCell):
    """Above the agents that their first use activates: each of them has a supervision of its own."""

    __slots__ = ("_ending",)

    is_serial = False

    def __init__(self, system: "MiniAgents", parent: Cell, name: str) -> None:
        super().__init__(system, parent, name, Props(lambda: None, DEFAULT_OPTIONS))
        self._ending: asyncio.Task[None] | None = None

    def post(self, envelope: Enveloped) -> None:
        """It handles nothing."""
        if envelope.ask is not None:
            envelope.ask.stopped("it handles no messages")
        self.system.dead_letters.add(DeadLetterReason.SUPERVISOR, envelope, self.ref)

    def take_notice(self) -> None:
        """It is there as soon as it is needed, and ends with those below it, the youngest first."""
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
    system: "MiniAgents", parent: Cell, name: str, agent: "MiniAgent", *, is_activated: bool = False
) -> Any:
    """Make the cell of an agent, without starting it."""
    kind = ClassAgentCell if agent.is_class else FunctionAgentCell
    return kind(system, parent, name, agent, is_activated=is_activated)


def spawned(agent: "MiniAgent", options: SpawnOptions | None, arguments: Any) -> "MiniAgent":
    """The agent that `spawn` makes an actor of: spawned ones are not passivated."""
    if not arguments and options is None:
        return agent
    return agent.fork(options=options if options is not None else agent.options.spawn, kwargs=arguments)
