"""The cells of class agents: one instance, which serves one call at a time."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from miniagents.actors import Actor
from miniagents.actors.cells.actor_cell import ActorCell, is_of_the_caller
from miniagents.actors.cells.cell import Cell
from miniagents.actors.messaging.options import Props
from miniagents.actors.waiting.search import Held
from miniagents.agents.agent_cell import AgentCell, answer_of
from miniagents.agents.interaction import Interaction
from miniagents.agents.interaction_context import InteractionContext
from miniagents.supervision import StopReason
from miniagents.supervision.lifecycle import Event

if TYPE_CHECKING:
    from miniagents.agents.agent import MiniAgent
    from miniagents.agents.system import MiniAgents

_log = structlog.get_logger("miniagents")


class ClassAgentCell(AgentCell, ActorCell):
    """The cell of a class agent: one instance, one call at a time."""

    __slots__ = ("_passivation", "agent", "is_activated")

    passivates = True

    def __init__(
        self, system: "MiniAgents", parent: Cell, name: str, agent: "MiniAgent", *, is_activated: bool = False
    ) -> None:
        super().__init__(system, parent, name, Props(partial(_ClassAgent, agent), agent.options.spawn))
        self.agent = agent
        self.is_activated = is_activated
        self._passivation = None

    def wake(self) -> None:
        """There is something to do: have a turn of it run."""
        self._works()
        super().wake()

    def interaction_ended(self, interaction: Interaction) -> None:
        """Its turn sees to that."""

    @property
    def is_unwanted(self) -> bool:
        """Never: the interaction that it serves sees to that."""
        return False

    def end_unserved(self) -> None:
        """The code of the call that it serves was abandoned: the instance ends, which is still in that code."""
        if self.told_to_end_at is None:
            self.terminate()
            self.apply(Event.GRACE_OVER)
        else:
            self.task.interrupt()  # it waits for its call, and need not any longer

    def ask_cancelled(self, ask: Any) -> Any:
        """A call was cancelled: take it out of the mailbox, or let its interaction end."""
        if ask.taken and (isinstance(ask.message, Interaction) or ask.behind is not None):
            return None
        return super().ask_cancelled(ask)


class _ClassAgent(Actor):
    """The actor around an instance of the user's class."""

    def __init__(self, agent: "MiniAgent") -> None:
        self._agent = agent
        self._instance = agent.wrapped(**agent.arguments, **agent.live_arguments)

    async def receive(self, message: Any, ctx: Any) -> Any:
        """Serve one call, in a task of its own that has the caller's context variables."""
        cell: ClassAgentCell = ctx._cell
        is_call = isinstance(message, Interaction)
        assert cell.current is not None  # it is the message in hand
        interaction: Interaction = message if is_call else cell.as_interaction(cell.current)
        cell.waits = Held(interaction)
        try:
            error = await self._serve(interaction, is_call)
        finally:
            cell.waits = None
            if not is_call:
                interaction.replies.mark_seen()
        if error is not None and interaction.has_expired and is_of_the_caller(error):
            interaction.fail(error)  # what it waited for has ended with the deadline: it has not crashed
            return None
        if error is not None and interaction.cancelled is None:
            if is_call and isinstance(error, self._agent.options.errors):
                interaction.fail(error)
                return None
            if not is_call or interaction.has_replied:
                interaction.fail(error)  # what was replied has been seen, so that it cannot be tried again
            if isinstance(error, self._agent.options.errors):
                return error
            raise error
        if is_call or interaction.cancelled is not None:
            return None
        return await answer_of(interaction.replies)

    async def _serve(self, interaction: Interaction, is_call: bool) -> BaseException | None:
        task = interaction.start(self._call, settles=False)
        interrupted: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                interrupted = error
                if interaction.done():
                    break  # its code was abandoned
                interaction.cancel_below("its agent was interrupted")
                interaction.told_to_end_at = interaction.told_to_end_at or interaction.system.time()
                task.cancel()
        if interrupted is not None:
            if not is_call:
                interaction.stopped(StopReason.SHUTDOWN)
            raise interrupted
        return None if task.cancelled() else task.result()

    async def _call(self, interaction: Interaction) -> None:
        ctx = interaction.ctx = InteractionContext(interaction)
        await self._instance(ctx, **interaction.arguments)
