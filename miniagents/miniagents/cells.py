"""The cell above the agents that their first use activates, and which kind of cell an agent gets."""

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Any

import structlog

from miniagents.actors import DeadLetterReason, Envelope, SpawnOptions
from miniagents.actors.cell import Cell
from miniagents.actors.state import RUNNING, STOPPING
from miniagents.miniagents.class_cell import ClassAgentCell
from miniagents.miniagents.function_cell import FunctionAgentCell

if TYPE_CHECKING:
    from miniagents.miniagents.agent import MiniAgent
    from miniagents.miniagents.system import MiniAgents

_log = structlog.get_logger("miniagents")

_INSIST_EVERY = 1.0


class AgentsCell(Cell):
    """Above the agents that their first use activates: each of them has a supervision of its own."""

    __slots__ = ("_ending",)

    is_serial = False

    def begin(self) -> None:
        """It is there as soon as it is needed."""
        self._ending: asyncio.Task[None] | None = None
        self.state = RUNNING

    def post(self, envelope: Envelope) -> None:
        """It handles nothing."""
        if envelope.ask is not None:
            envelope.ask.stopped("it handles no messages")
        self.system.dead_letters.add(DeadLetterReason.SUPERVISOR, envelope, self.ref)

    def stop_requested(self, *, escalated: bool) -> None:
        """End those below it, the youngest first."""
        if self._ending is None:
            self.state = STOPPING
            self._ending = self.system.loop.create_task(self._end(), context=Context())

    async def _end(self) -> None:
        await self.end_children()
        assert self.stopping is not None  # it was asked for
        self.ended(self.stopping.reason)


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
