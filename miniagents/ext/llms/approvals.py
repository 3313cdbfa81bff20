"""Approvals: whether a tool call of a model may run. A function or an agent says so, or somebody outside."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from miniagents.agents import InteractionContext, MiniAgent
from miniagents.agents.records import WAIT_KIND, records_of
from miniagents.errors import DeadlineExceededError
from miniagents.ext.llms.messages import ToolCall
from miniagents.log import log as _log
from miniagents.messages import DataMessage, Message

Approve: TypeAlias = Callable[[ToolCall], object] | MiniAgent | Literal["wait"]
"""A function, async or not, or an agent, that gets each tool call before it runs. Return True (an agent replies `yes`)
to allow the call. Any other value refuses it and is sent to the model as the reason. With "wait", the call waits until
`MiniAgents.deliver` brings the answer.

Example:
    >>> def careful(call):
    ...     return call.name != "delete" or "Ask before you delete."
    >>> approve: Approve = careful
    >>> approve(ToolCall("call_1", "delete"))
    'Ask before you delete.'
"""

WAIT: Final = "wait"

_YES = frozenset({"true", "yes", "y", "ok", "approve", "approved"})


class ToolApproval:
    """The approval of one tool call from outside.

    Its wait has a name made of the turn, the id, the name and the arguments of the call. So an answer belongs to this
    call with exactly the arguments that were shown, and to no other one.

    Args:
        call: The tool call.
        ctx: The context of the agent.
        timeout: Seconds to wait for the answer, more than 0; None for no limit.

    Attributes:
        asks_again: Whether to ask even if there was an answer before: the call was started, and nobody knows how far it
            came.
    """

    __slots__ = ("_call", "_ctx", "_number", "_timeout", "asks_again", "name")

    def __init__(self, call: ToolCall, ctx: InteractionContext, timeout: float | None) -> None:
        self._call = call
        self._ctx = ctx
        self._timeout = timeout
        self.asks_again = False
        parts = "\n".join((call.id, call.name, call.arguments))
        self.name = f"approve {call.name} {hashlib.sha256(parts.encode()).hexdigest()[:12]}"
        # Taken in the order of the calls, also of those that have a result already: the same after a restart.
        self._number = records_of(ctx.interaction).number(WAIT_KIND, self.name.encode())

    async def refusal(self) -> str | None:
        """Return why the call may not run; None if it may."""
        call, interaction, again = self._call, self._ctx.interaction, self.asks_again
        prompt = {"tool": call.name, "arguments": call.arguments, "call": call.id, "was_started": again}
        try:
            answer = await interaction.system.answers.wait(
                interaction, self.name, prompt, self._timeout, Message, number=self._number, again=again
            )
        except DeadlineExceededError:
            return "nobody answered" + (f" within {self._timeout:g} s" if self._timeout is not None else " in time")
        verdict = _verdict(answer.message)
        _log.info(
            "llm.tool_answered",
            **interaction.log_fields,
            tool=call.name,
            is_approved=verdict is True,
            by=answer.by,
            at=answer.at,
        )
        return _reason(verdict)


Decider: TypeAlias = Callable[[ToolCall], object] | MiniAgent | ToolApproval
"""Decides about one call."""


async def refusal_by(approve: Callable[[ToolCall], object] | MiniAgent, call: ToolCall) -> str | None:
    """Return why a function or an agent refuses a call; None if it allows it.

    Args:
        approve: The function or agent.
        call: The tool call.
    """
    if isinstance(approve, MiniAgent):
        return _reason(_verdict(await approve.inquire(call)))
    answer = approve(call)
    return _reason(await answer if inspect.isawaitable(answer) else answer)


def _verdict(answer: Any) -> object:
    """Return True for a yes, or else the reason."""
    if isinstance(answer, DataMessage) and "approved" in answer.data:
        return answer["approved"] is True or answer.data.get("reason", "")
    text = str(answer).strip()
    return text.lower() in _YES or text


def _reason(verdict: object) -> str | None:
    if verdict is True:
        return None
    return str(verdict) if verdict else "the call was refused"
