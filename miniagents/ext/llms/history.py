"""Conversations that no provider refuses: every tool call has exactly one result, right after it."""

from collections.abc import Sequence

from miniagents.ext.llms.messages import ReplyMessage, ToolResultMessage
from miniagents.messages import Message

CANCELLED = "cancelled"


def well_formed(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """Repair a conversation whose tool calls and results do not match.

    Results follow the calls that they answer, in the order of the calls. A call without a result gets one that says
    `cancelled`; a result without a call, and the second one of a call, are left out.

    Args:
        messages: The conversation.

    Returns:
        The repaired conversation, and what was repaired, in words.
    """
    if not any(isinstance(m, ToolResultMessage) or (isinstance(m, ReplyMessage) and m.tool_calls) for m in messages):
        return tuple(messages), ()
    repairs: list[str] = []
    whole: list[Message] = []
    used: set[int] = set()
    for index, message in enumerate(messages):
        if isinstance(message, ToolResultMessage):
            if index not in used:
                repairs.append(f"result of {message.call_id!r} answers no call: left out")
            continue
        whole.append(message)
        if not isinstance(message, ReplyMessage) or not message.tool_calls:
            continue
        for call in message.tool_calls:
            at = _result_of(call.id, messages, index, used)
            if at is None:
                repairs.append(f"call {call.id!r} of {call.name} had no result: {CANCELLED}")
                whole.append(
                    ToolResultMessage(f"{CANCELLED}: no result", call_id=call.id, name=call.name, is_error=True)
                )
                continue
            if any(not isinstance(m, ToolResultMessage) for m in messages[index + 1 : at]):
                repairs.append(f"result of {call.id!r} did not follow its call: moved")
            used.add(at)
            result = messages[at]
            assert isinstance(result, ToolResultMessage)  # _result_of looks for nothing else
            whole.append(result)
    return tuple(whole), tuple(repairs)


def _result_of(call_id: str, messages: Sequence[Message], after: int, used: set[int]) -> int | None:
    """Where the result of a call is: before another call of the same id, since ids may come again."""
    for at in range(after + 1, len(messages)):
        message = messages[at]
        if isinstance(message, ToolResultMessage):
            if message.call_id == call_id and at not in used:
                return at
        elif isinstance(message, ReplyMessage) and any(call.id == call_id for call in message.tool_calls):
            return None
    return None
