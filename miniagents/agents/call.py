"""`AgentCall`: one call of an agent, open until it is finished."""

import contextvars
from collections.abc import Mapping
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, Self

from miniagents.agents.call_tree import CallNode
from miniagents.agents.host import AgentHost, ServingCell
from miniagents.errors import PromiseCancelledError, WrongThreadError
from miniagents.messages import MessageSequence, MessageSequencePromise, Sendable
from miniagents.messages.message import MessageT_co
from miniagents.promising.scope import get_scope, get_work, started
from miniagents.supervision.checking import check_seconds

if TYPE_CHECKING:
    from miniagents.agents.agent import MiniAgent
    from miniagents.agents.interaction import Interaction


class AgentCall(Generic[MessageT_co]):
    """One call of an agent: messages go in as long as it is open, replies come out meanwhile.

    `finish()` and `reply_sequence()` finish the call, and so does the end of the agent that made it.

    Args:
        interaction: The call at work, which has not begun.
        start_soon: Begin as soon as the loop turns; otherwise when somebody first asks for a reply.

    Attributes:
        agent: The agent that is called.

    Example:
        >>> @miniagent
        ... async def echo(ctx):
        ...     async for message_promise in ctx.message_promises:
        ...         ctx.reply(f"You said: {await message_promise}")
        >>> async with MiniAgents():
        ...     call = echo.initiate_call().send_message("Hello").send_message("Goodbye")
        ...     for reply in await call.reply_sequence():
        ...         print(reply)
        You said: Hello
        You said: Goodbye
    """

    __slots__ = ("_input", "_interaction", "_owner", "agent")

    def __init__(self, interaction: "Interaction", start_soon: bool) -> None:
        self.agent: MiniAgent[Any] = interaction.agent
        self._interaction = interaction
        self._input = MessageSequence(errors_as_messages=False)
        self._input.open()
        interaction.message_promises = self._input.sequence_promise
        parent = interaction.parent
        self._owner: CallNode | AgentHost = parent if parent is not None else interaction.system
        self._owner.opened(self)
        self._input.fed_by = parent
        if start_soon:
            interaction.submit()
        else:
            put_off(interaction)

    @property
    def interaction(self) -> "Interaction":
        """The call at work, with its id."""
        return self._interaction

    @property
    def is_finished(self) -> bool:
        """True if the call takes no more messages. Replies may come all the same."""
        return not self._input.is_open

    def send_message(self, messages: Sendable, *, out_of_order: bool = False) -> Self:
        """Send something to the agent.

        Args:
            messages: The messages, in any form that can be sent (`Sendable`).
            out_of_order: Deliver it as it becomes ready, whatever was sent before.

        Raises:
            AppenderClosedError: The call is finished.
        """
        self._input.send(messages, out_of_order=out_of_order)
        return self

    def send_out_of_order(self, messages: Sendable) -> Self:
        """Send something that is delivered as it becomes ready, whatever was sent before."""
        return self.send_message(messages, out_of_order=True)

    def reply_sequence(self, *, finish_call: bool = True) -> MessageSequencePromise[MessageT_co]:
        """Return the promise of the replies.

        Args:
            finish_call: Finish the call; otherwise it stays open, and waiting for all replies may wait for ever.
        """
        if finish_call:
            self.finish()
        return self._interaction.replies

    def finish(self) -> Self:
        """Send no more messages. Finishing again is harmless."""
        self._owner.closed(self)
        self._input.close()
        return self


def new_interaction(
    agent: "MiniAgent",
    cell: "ServingCell[Interaction]",
    arguments: Mapping[str, Any],
    timeout: float | None,
    errors_as_messages: bool | None,
    label: str | None,
) -> "Interaction":
    """Make a call of an agent in the name of the code that runs now. It has no messages and has not begun.

    Raises:
        WrongThreadError: This is another thread than the system's.
        InvalidOptionError: `timeout` is no number of seconds, 0 or more.
        PromiseCancelledError: The interaction that calls was cancelled.
    """
    system = cell.system
    if get_ident() != system.thread_id:
        raise WrongThreadError(
            f"{cell.path}: was called from another thread than the system's loop; use system.from_thread.inquire"
        )
    if timeout is not None:
        check_seconds(f"agent {agent.alias}: timeout=", timeout)
    scope = get_scope()
    parent = scope if isinstance(scope, CallNode) and scope.system is system else None
    if parent is not None and parent.cancelled is not None:
        raise PromiseCancelledError(
            f"{parent.path}: this interaction was cancelled and starts nothing more", reason=parent.cancelled
        )
    node: Any = None if scope is None else scope if scope.is_node else scope.node
    interaction: Interaction = system.interaction_class(
        system=system,
        cell=cell,
        agent=agent,
        arguments=arguments,
        message_promises=NO_MESSAGES,
        context=contextvars.copy_context(),
        parent=parent,
        sender=node.ref if node is not None else None,
        correlation_id=node.correlation_id if node is not None else 0,
        trace=node.trace if node is not None else None,
        deadline=scope.deadline if scope is not None else None,
        timeout=timeout,
        errors_as_messages=system.errors_as_messages if errors_as_messages is None else errors_as_messages,
        label=label,
    )
    if (node is not None and parent is None) or get_work() is not None:
        started(interaction, scope)  # else it is its parent's, or nobody's
    return interaction


def put_off(interaction: "Interaction") -> None:
    """Let a call begin when somebody first asks for a reply."""
    interaction.is_lazy = True
    interaction.system.keep_lazy(interaction.replies)


NO_MESSAGES = MessageSequence.turn_into_sequence_promise((), errors_as_messages=False)
"""The messages of a call that sends none."""
