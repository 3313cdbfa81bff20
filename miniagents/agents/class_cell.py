"""The cells of class agents.

A class agent has one instance, which serves one call at a time and lives across calls. So it is an actor
(`ClassAgentActor`) with a mailbox, a start and restarts, and a call is a message to it. The code of each call does not
run in the turn of the actor but in a task of its own, which that turn waits for: the code has the context variables of
the caller, and cancelling it does not cancel the actor. The calls of a function agent go another way; see
`miniagents.agents.function_cell`.
"""

import asyncio
from functools import partial
from typing import Any

from miniagents.actors import Actor, ActorContext
from miniagents.actors.cells.actor_cell import ActorCell, is_of_the_caller
from miniagents.actors.cells.cell import Cell
from miniagents.actors.messaging.options import Props
from miniagents.actors.waiting.search import Held
from miniagents.agents.agent import MiniAgent
from miniagents.agents.agent_cell import AgentCell, answer_of
from miniagents.agents.host import AgentHost
from miniagents.agents.interaction import Interaction
from miniagents.supervision import StopReason
from miniagents.supervision.lifecycle import Event


class ClassAgentCell(AgentCell, ActorCell):
    """The cell of a class agent, which serves one call at a time.

    Args:
        system: The system of the cell.
        parent: The cell above.
        name: The last part of the path.
        agent: The agent.
        is_activated: Whether the first use of the agent makes the cell.
    """

    __slots__ = ("_passivation", "_rests_since", "agent", "is_activated", "spent_cost", "spent_tokens")

    kind = "class agent"
    passivates = True
    actor_class: "type[ClassAgentActor]"
    """Makes the actor around the instance."""

    def __init__(
        self, system: AgentHost, parent: Cell, name: str, agent: MiniAgent, *, is_activated: bool = False
    ) -> None:
        super().__init__(system, parent, name, Props(partial(self.actor_class, self), agent.options.spawn))
        self.agent = agent
        self.is_activated = is_activated
        self.spent_tokens = 0
        self.spent_cost = 0.0
        self._passivation = None
        self._rests_since = 0.0

    def interaction_ended(self, interaction: Interaction) -> None:
        """Do nothing: the turn that waits for the call goes on by itself."""

    @property
    def is_unwanted(self) -> bool:
        """False: the call that the agent serves is cancelled instead, if nobody wants it any more."""
        return False

    def end_unserved(self) -> None:
        """End the instance, which is still in the code of a call that was abandoned."""
        if self.told_to_end_at is None:
            self.terminate()
            self.apply(Event.GRACE_OVER)
        else:
            self.task.interrupt()  # its turn need not wait for that call any longer

    def ask_cancelled(self, ask: Any) -> Any:
        """Take a call that was cancelled out of the mailbox. One that runs ends by itself."""
        if ask.taken and (isinstance(ask.message, Interaction) or ask.behind is not None):
            return None
        return super().ask_cancelled(ask)


class ClassAgentActor(Actor):
    """The actor around an instance of the user's class.

    Args:
        cell: The cell.

    Attributes:
        instance: The instance of the user's class.
    """

    def __init__(self, cell: ClassAgentCell) -> None:
        agent = cell.agent
        self._cell = cell
        self._agent = agent
        self.instance = agent.wrapped(**agent.arguments, **agent.live_arguments)

    async def receive(self, message: object, ctx: ActorContext) -> Any:
        """Serve one call, or one plain message as a call."""
        cell = self._cell
        is_call = isinstance(message, Interaction)
        assert cell.current is not None  # it is the message in hand
        interaction = message if isinstance(message, Interaction) else cell.as_interaction(cell.current)
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
            is_answer = isinstance(error, self._agent.options.errors)
            # A durable mailbox tries a call again that was refused, if its `RetryPolicy` says so: nothing is lost.
            if is_call and (is_answer or (cell.inbox is None and isinstance(error, interaction.answers))):
                interaction.fail(error)
                return None
            if not is_call or interaction.has_replied:
                interaction.fail(error)  # what was replied has been seen, so that it cannot be tried again
            if is_answer:
                return error
            raise error
        if is_call or interaction.cancelled is not None:
            return None
        return await answer_of(interaction.replies, message)

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
        ctx = interaction.ctx = interaction.system.context_class(interaction)
        await self.instance(ctx, **interaction.arguments)


ClassAgentCell.actor_class = ClassAgentActor
