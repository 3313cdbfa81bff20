"""`AgentCall`: one call of an agent, open until it is finished."""

import contextvars
from threading import get_ident
from typing import TYPE_CHECKING, Any

from miniagents.agents.interaction import Interaction
from miniagents.errors import PromiseCancelledError, WrongThreadError
from miniagents.messages import MessageSequence, MessageSequencePromise, Sendable
from miniagents.promising.scope import get_scope, get_work, started
from miniagents.supervision.checking import check_seconds

if TYPE_CHECKING:
    from miniagents.agents.agent import MiniAgent
    from miniagents.agents.system import MiniAgents


class AgentCall:
    """One call of an agent: messages go in as long as it is open, replies come out meanwhile.

    It is finished by `finish()`, by `reply_sequence()`, or when the agent that made it ends.

    Attributes:
        agent: Who is called.
    """

    __slots__ = ("_input", "_interaction", "_owner", "agent")

    def __init__(
        self,
        agent: "MiniAgent",
        system: "MiniAgents",
        cell: Any,
        arguments: Any,
        timeout: float | None,
        start_soon: bool,
        errors_as_messages: bool | None,
        label: str | None,
    ) -> None:
        self.agent = agent
        interaction = self._interaction = new_interaction(
            agent, system, cell, arguments, timeout, errors_as_messages, label
        )
        self._input = MessageSequence(errors_as_messages=False)
        self._input.open()
        interaction.message_promises = self._input.sequence_promise
        self._owner: Any = interaction.parent if interaction.parent is not None else system
        self._owner.opened(self)
        self._input.fed_by = interaction.parent
        begin(interaction, start_soon)

    @property
    def interaction(self) -> Interaction:
        """The call at work, with its id."""
        return self._interaction

    @property
    def is_finished(self) -> bool:
        """Whether it takes no more messages. Replies may come all the same."""
        return not self._input.is_open

    def send_message(self, messages: Sendable, *, out_of_order: bool = False) -> "AgentCall":
        """Send something to the agent.

        Raises:
            AppenderClosedError: The call is finished.
        """
        self._input.send(messages, out_of_order=out_of_order)
        return self

    def send_out_of_order(self, messages: Sendable) -> "AgentCall":
        """Send something that is delivered as it becomes ready, whatever was sent before."""
        return self.send_message(messages, out_of_order=True)

    def reply_sequence(self, *, finish_call: bool = True) -> MessageSequencePromise:
        """The promise of the replies.

        Args:
            finish_call: Finish the call; otherwise it stays open, and waiting for all replies may wait for ever.
        """
        if finish_call:
            self.finish()
        return self._interaction.replies

    def finish(self) -> "AgentCall":
        """No more messages. Finishing again is harmless."""
        self._owner.closed(self)
        self._input.close()
        return self


def new_interaction(
    agent: "MiniAgent",
    system: "MiniAgents",
    cell: Any,
    arguments: Any,
    timeout: float | None,
    errors_as_messages: bool | None,
    label: str | None,
) -> Interaction:
    """A call that the code which runs now makes, of an agent, still without messages.

    Raises:
        WrongThreadError: This is another thread than the system's.
        InvalidOptionError: `timeout` is no number of seconds, 0 or more.
        PromiseCancelledError: The interaction that calls was cancelled.
    """
    if get_ident() != system.thread_id:
        raise WrongThreadError(
            f"{cell.path}: was called from another thread than the system's loop; use system.from_thread.inquire"
        )
    if timeout is not None:
        check_seconds(f"agent {agent.alias}: timeout=", timeout)
    scope = get_scope()
    parent = scope if isinstance(scope, Interaction) and scope.system is system else None
    if parent is not None and parent.cancelled is not None:
        raise PromiseCancelledError(
            f"{parent.path}: this interaction was cancelled and starts nothing more", reason=parent.cancelled
        )
    node = scope.node if scope is not None else None
    interaction = Interaction(
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


def begin(interaction: Interaction, start_soon: bool) -> None:
    """Let a call begin as soon as the loop turns, or when somebody first asks for a reply."""
    if start_soon:
        interaction.submit()
    else:
        interaction.system.lazy_promises[interaction.replies] = None


NO_MESSAGES = MessageSequence.turn_into_sequence_promise((), errors_as_messages=False)
"""What an agent gets that is sent nothing."""
