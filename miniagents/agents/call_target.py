"""What can be called: an agent, which its first use activates, and the reference of one that was spawned."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from miniagents.actors import ActorRef
from miniagents.agents.call import AgentCall, begin, new_interaction
from miniagents.messages import MessageSequence, MessageSequencePromise, Sendable

if TYPE_CHECKING:
    from miniagents.agents.agent import MiniAgent


class CallTarget:
    """What can be called with messages, and answers with messages."""

    __slots__ = ()

    def inquire(
        self,
        messages: Sendable | None = None,
        *,
        timeout: float | None = None,
        start_soon: bool = True,
        errors_as_messages: bool | None = None,
        label: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> MessageSequencePromise:
        """Send messages to the agent and promise its replies.

        Args:
            messages: Whatever can be sent; None for nothing.
            timeout: Seconds until the promise fails with `AskTimeoutError`; everything below inherits the deadline.
            start_soon: Begin as soon as the loop turns; otherwise when somebody asks for a reply.
            errors_as_messages: Errors arrive as `ErrorMessage`s; None for what the system says.
            label: Tells equal calls apart.
            kwargs: Arguments of the agent whose names `inquire` takes for itself.
            **arguments: Arguments of the agent.

        Raises:
            AgentArgumentError: The agent does not take these arguments.
            NotSendableError: `messages` cannot be sent.
        """
        agent = self._called_agent()
        frozen = agent.check_call({**arguments, **kwargs} if kwargs else arguments)
        cell = self._called_cell()
        interaction = new_interaction(agent, cell.system, cell, frozen, timeout, errors_as_messages, label)
        if messages is not None:
            sent = MessageSequence.turn_into_sequence_promise(messages, errors_as_messages=False)
            interaction.message_promises = sent
        begin(interaction, start_soon)
        return interaction.replies

    trigger = inquire

    def initiate_call(
        self,
        *,
        timeout: float | None = None,
        start_soon: bool = True,
        errors_as_messages: bool | None = None,
        label: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> AgentCall:
        """Begin a call whose messages are sent bit by bit, while replies may come already (full duplex).

        Takes the same as `inquire`.
        """
        agent = self._called_agent()
        frozen = agent.check_call({**arguments, **(kwargs or {})})
        cell = self._called_cell()
        return AgentCall(agent, cell.system, cell, frozen, timeout, start_soon, errors_as_messages, label)

    def check_ready(self) -> None:
        """Check that a call made now, before the loop turns, waits neither for room in the mailbox nor for a restart.

        Raises:
            MailboxFullError: The mailbox is full, under `BACKPRESSURE` too.
            ActorStoppedError: The agent has ended, is about to end, or is being restarted.
            SystemNotRunningError: The system is not running.
        """
        self._called_cell().check_ready()

    def _called_agent(self) -> "MiniAgent":
        raise NotImplementedError

    def _called_cell(self) -> Any:
        """The cell that serves the call."""
        raise NotImplementedError


class AgentRef(CallTarget, ActorRef):
    """The reference of an agent: an `ActorRef` that can be called, too."""

    __slots__ = ()

    def _called_agent(self) -> "MiniAgent":
        return self._called_cell().agent  # type: ignore[no-any-return]

    def _called_cell(self) -> Any:
        return self._cell
