"""The cells of agents, which the calls of an agent go to: the part that functions and classes have in common."""

import asyncio
from collections.abc import Awaitable
from contextvars import Context
from typing import Any

from miniagents.actors import ActorRef, Envelope, Overflow
from miniagents.actors.cells.absent import AbsentCell, let_travel
from miniagents.actors.cells.cell_state import State
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.messaging.ask import Ask
from miniagents.agents.agent import MiniAgent
from miniagents.agents.call_once import RecordedCall, RecordedReplies
from miniagents.agents.call_target import AgentRef
from miniagents.agents.host import AgentHost
from miniagents.agents.interaction import Interaction
from miniagents.agents.spending import SpendingCell
from miniagents.errors import ActorStoppedError, MailboxFullError
from miniagents.messages import EMPTY, Message, MessageSequence, MessageSequencePromise, TextMessage
from miniagents.supervision import StopReason
from miniagents.supervision.lifecycle import OVER


class AbsentAgentCell(AbsentCell):
    """The stand-in for the cell of an agent that does not live here."""

    __slots__ = ()

    @property
    def agent(self) -> MiniAgent:
        """The agent is not known here.

        Raises:
            ActorStoppedError: Always: nothing here takes its calls.
        """
        raise self.reason

    def check_ready(self) -> None:
        """Refuse every call.

        Raises:
            ActorStoppedError: Always: nothing here takes calls of the agent.
        """
        raise self.reason


let_travel(AgentRef, "agent", AbsentAgentCell)


class AgentCell(SpendingCell, LivingCell):
    """The base of the cells of agents. Its kinds are `FunctionAgentCell` and `ClassAgentCell`.

    Attributes:
        agent: The agent.
        is_activated: Whether the first use of the agent made the cell, so that the next use makes another one when it
            has ended.
    """

    __slots__ = tuple[str]()  # the kinds of cells have the slots: two bases with some cannot be joined

    agent: MiniAgent
    is_activated: bool
    system: AgentHost
    _passivation: asyncio.TimerHandle | None
    _rests_since: float

    @property
    def type_name(self) -> str:
        """The name of the agent."""
        return self.agent.alias

    def new_ref(self) -> ActorRef:
        """Make a reference that can be called."""
        return AgentRef(self)

    def assign(self, interaction: Interaction) -> None:
        """Do nothing: a call of one agent needs no member of a pool."""

    def call(self, interaction: Interaction) -> Awaitable[object]:
        """Make the coroutine of the agent's code, for a call."""
        raise NotImplementedError

    def interaction_ended(self, interaction: Interaction) -> None:
        """Note that a call has ended."""
        raise NotImplementedError

    def end_unserved(self) -> None:
        """End the instance whose code was abandoned; a function has none."""

    @property
    def takes_calls(self) -> bool:
        """True if a call that is sent now is still served."""
        return self.life is not OVER and (self.stopping is None or self.takes_while_stopping())

    def must_wait(self) -> bool:
        """Return True if a call must wait for room in the mailbox."""
        if self.props.capacity is None or self.props.options.mailbox.overflow is not Overflow.BACKPRESSURE:
            return False
        return self.is_full() or bool(self._room)

    def is_ready(self) -> bool:
        """Return True if a call would not have to wait before it is in the mailbox."""
        return self.takes_calls and self.state is not State.RESTARTING and not self.must_wait()

    def check_ready(self) -> None:
        """Check that a call would be in the mailbox at once; see `CallTarget.check_ready`."""
        if not self.takes_calls or self.state is State.RESTARTING:
            raise ActorStoppedError(f"{self.path}: is {self.state.value}", path=self.path, reason=self.reason)
        if self.must_wait():
            raise MailboxFullError(f"{self.path}: mailbox is full ({self.props.capacity} messages)", path=self.path)

    def take_call(self, interaction: Interaction) -> None:
        """Put a call into the mailbox, at once or when there is room."""
        envelope = interaction.in_envelope()
        if self.must_wait():
            envelope.taken = True  # as long as it is not in the mailbox
            self.system.start_soon(
                self._take_when_there_is_room(envelope), on_cancelled=lambda _: interaction.stopped(StopReason.SHUTDOWN)
            )
        else:
            self.post(envelope)

    async def _take_when_there_is_room(self, envelope: Envelope) -> None:
        await self.room()
        if envelope.message.done():
            self.made_room()  # it is the next one's
        else:
            envelope.taken = False
            self.post(envelope)

    def as_interaction(self, envelope: Any) -> Interaction:
        """Make a call of a plain message that an actor told or asked.

        Args:
            envelope: Its `Envelope`, or its `Ask`.
        """
        message = envelope.message
        is_recorded = isinstance(message, RecordedCall)
        interaction: Interaction = self.system.interaction_class(
            system=self.system,
            cell=self,
            agent=self.agent,
            arguments=message.arguments if is_recorded else EMPTY,
            message_promises=MessageSequence.turn_into_sequence_promise(message.messages if is_recorded else message),
            context=Context(),
            sender=envelope.sender,
            correlation_id=envelope.correlation_id,
            trace=envelope.trace,
            deadline=envelope.deadline,
        )
        interaction.begin_taken(envelope)
        ask = envelope.ask
        if ask is not None:
            ask.became(interaction)
        return interaction

    def ask_expired(self, ask: Any) -> None:
        """End the call that a plain ask became, since the deadline of that ask has passed."""
        if isinstance(ask, Ask) and ask.behind is not None:
            ask.behind.expire()
        else:
            super().ask_expired(ask)

    def rests(self) -> None:
        """Begin to count the seconds without a call, after which the cell ends and gives its memory back."""
        after = self.props.options.passivate_after
        if after is not None and self.is_activated:
            # A timer that is there already moves on when it fires: to move it for each call would cost a new timer.
            self._rests_since = self.system.time()
            if self._passivation is None:
                self._passivate_at(self._rests_since + after)

    def _passivate_at(self, at: float) -> None:
        # In a context of its own: that of the call that ends here would keep the call, and what it failed with.
        self._passivation = self.system.loop.call_at(at, self._passivate, context=Context())

    def _forget_passivation(self) -> None:
        if self._passivation is not None:
            self._passivation.cancel()
            self._passivation = None

    def _passivate(self) -> None:
        self._passivation = None
        after = self.props.options.passivate_after
        if after is None or self.state is not State.IDLE or self.depth or self.children:
            return
        if self.system.time() < self._rests_since + after:
            self._passivate_at(self._rests_since + after)
        else:
            self.terminate(StopReason.NORMAL)

    def settle(self) -> None:
        """Settle everything that depends on the agent, which has ended for good."""
        self._forget_passivation()
        super().settle()


async def answer_of(replies: MessageSequencePromise, asked: object) -> Message | None:
    """Return the replies of an agent as one answer to a plain ask: None, the one message, or all as one text.

    Args:
        replies: The replies.
        asked: The message that was asked; the answer to a `RecordedCall` has all replies in it.
    """
    messages = await replies
    if isinstance(asked, RecordedCall):
        return RecordedReplies(tuple(messages))
    if not messages:
        return None
    return messages[0] if len(messages) == 1 else TextMessage(str(messages))
