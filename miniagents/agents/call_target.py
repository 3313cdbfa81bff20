"""`CallTarget`: the calling side of an agent, and of the reference of a spawned one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic

from miniagents.actors import ActorRef
from miniagents.agents.call import AgentCall, new_interaction, put_off
from miniagents.agents.call_once import inquire_once
from miniagents.agents.host import ServingCell
from miniagents.messages import MessageSequence, MessageSequencePromise, Sendable
from miniagents.messages.message import MessageT_co

if TYPE_CHECKING:
    from miniagents.agents.agent import MiniAgent
    from miniagents.agents.interaction import Interaction


class CallTarget(Generic[MessageT_co]):
    """The base of all that can be called with messages and answers with messages.

    A call takes one of two ways. A function agent has no instance, so its calls run concurrently, each on a worker of
    the dispatcher, with no actor's turn in between. A class agent has an instance, which serves one call at a time: its
    calls wait in the mailbox of an actor, and each runs in a task that a turn of that actor waits for. Such a task can
    have the context variables of the caller, while the actor has its own.
    """

    __slots__ = ()

    def inquire(
        self,
        messages: Sendable | None = None,
        *,
        timeout: float | None = None,
        start_soon: bool = True,
        errors_as_messages: bool | None = None,
        label: str | None = None,
        message_id: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: object,
    ) -> MessageSequencePromise[MessageT_co]:
        """Send messages to the agent and promise its replies.

        Args:
            messages: The messages, in any form that can be sent (`Sendable`); None for none.
            timeout: Seconds until the promise fails with `AskTimeoutError`, 0 or more; None for no limit. Calls and
                asks that the agent makes inherit the deadline.
            start_soon: Begin as soon as the loop turns; otherwise when somebody first asks for a reply.
            errors_as_messages: Whether errors arrive as `ErrorMessage`s; None for the system's own setting.
            label: A name that tells equal calls apart, and that logs, `miniagents ps` and the observer show.
            message_id: For a durable class agent that was spawned, the caller's own id of the call. The call waits on
                disk and is served once, however often it is made under this id; its replies come together, from the
                journal if it was served before. None for a call that waits in memory.
            kwargs: Arguments of the agent whose names `inquire` takes for itself.
            **arguments: Arguments of the agent.

        Raises:
            InvalidOptionError: `message_id` is given, and the agent has no durable mailbox.
            AgentArgumentError: The agent does not take these arguments.
            NotSendableError: `messages` cannot be sent.
        """
        agent = self.called_agent()
        frozen = agent.check_call({**arguments, **kwargs} if kwargs else arguments)
        if message_id is not None:
            return inquire_once(
                self._called_cell(),
                messages,
                frozen,
                message_id=message_id,
                timeout=timeout,
                errors_as_messages=errors_as_messages,
            )
        interaction = new_interaction(agent, self._called_cell(), frozen, timeout, errors_as_messages, label)
        if messages is not None:
            sent = MessageSequence.turn_into_sequence_promise(messages, errors_as_messages=False)
            interaction.message_promises = sent
        if start_soon:
            interaction.submit()
        else:
            put_off(interaction)
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
        **arguments: object,
    ) -> AgentCall[MessageT_co]:
        """Begin a call whose messages are sent bit by bit, while replies may come already (full duplex).

        The arguments are those of `inquire`.
        """
        agent = self.called_agent()
        frozen = agent.check_call({**arguments, **kwargs} if kwargs else arguments)
        interaction = new_interaction(agent, self._called_cell(), frozen, timeout, errors_as_messages, label)
        return AgentCall(interaction, start_soon)

    def check_ready(self) -> None:
        """Check that a call made now, before the loop turns, waits neither for room in the mailbox nor for a restart.

        Raises:
            MailboxFullError: The mailbox is full, under `BACKPRESSURE` too.
            ActorStoppedError: The agent has ended, is about to end, or is being restarted.
            SystemNotRunningError: The system is not running.
        """
        self._called_cell().check_ready()

    def called_agent(self) -> "MiniAgent[MessageT_co]":
        raise NotImplementedError

    def _called_cell(self) -> "ServingCell[Interaction]":
        """Return the cell that serves the call."""
        raise NotImplementedError


class AgentRef(CallTarget[MessageT_co], ActorRef):
    """The reference of an agent: an `ActorRef` that can be called, too.

    Example:
        >>> @miniagent
        ... async def greeter(ctx, greeting="Hello"):
        ...     ctx.reply(f"{greeting}, {await ctx.message_promises}!")
        >>> async with MiniAgents() as system:
        ...     ref = system.spawn(greeter, name="greeter", greeting="Hi")
        ...     print(ref.path, await ref.inquire("Ada"))
        /greeter Hi, Ada!
    """

    __slots__ = ()

    def called_agent(self) -> "MiniAgent[MessageT_co]":
        return self._called_cell().agent  # type: ignore[no-any-return]

    def _called_cell(self) -> Any:
        return self._cell
