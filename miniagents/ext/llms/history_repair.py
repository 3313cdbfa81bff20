"""Conversations that no provider refuses: each tool call has one result, right after it, and an id of its own."""

import re
from collections.abc import Sequence

import msgspec

from miniagents.ext.llms.messages import ReplyMessage, ToolCall, ToolResultMessage
from miniagents.messages import Message

CANCELLED = "cancelled"
_ID_LENGTH = 40
_NAME_LENGTH = 64
_ODD = re.compile(r"[^a-zA-Z0-9_-]")
"""The letters that the strictest provider accepts neither in ids nor in names."""


def well_formed(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """Repair a conversation, so that every provider accepts it.

    Results are moved behind their calls, in the order of the calls. A call without a result gets one that says
    `cancelled`. A result without a call, and a second result of a call, are left out.

    An id that repeats an earlier one, or has letters that not all providers accept, is replaced in the call and in its
    result, and so is such a name of a tool. The first call with an id keeps it, so that a conversation that goes on is
    sent with the same ids again. Arguments that are no JSON object become one, with their text as `invalid_json`.

    Args:
        messages: The conversation.

    Returns:
        The repaired conversation, and a description of each repair.

    Example:
        ```python
        from miniagents import UserMessage
        from miniagents.ext.llms import ReplyMessage, ToolCall, well_formed

        history = [UserMessage("Hi"), ReplyMessage("", tool_calls=(ToolCall(id="1", name="add"),))]
        messages, repairs = well_formed(history)
        print(messages[-1])  # cancelled: no result
        print(repairs[0])  # call '1' of add had no result: cancelled
        ```
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
    return with_own_ids(whole, set(), repairs), tuple(repairs)


def is_blank(messages: Sequence[Message]) -> bool:
    """Return whether a conversation has no text and no result of a tool: no provider accepts one."""
    return not any(isinstance(message, ToolResultMessage) or str(message).strip() for message in messages)


def with_own_ids(messages: Sequence[Message], taken: set[str], repairs: list[str]) -> tuple[Message, ...]:
    """Replace ids, names and arguments that not all providers accept.

    Args:
        messages: A part of a conversation, in which the results follow their calls already.
        taken: The ids of the calls before this part. Those of this part are added.
        repairs: A description of each repair is added.
    """
    repaired: list[Message] = []
    calls: list[ToolCall] = []  # the calls whose results follow, the last one first
    for message in messages:
        if isinstance(message, ToolResultMessage):
            call = calls.pop()
            if (call.id, call.name) != (message.call_id, message.name):
                message = msgspec.structs.replace(message, call_id=call.id, name=call.name)
        elif isinstance(message, ReplyMessage) and message.tool_calls:
            sent = tuple(_sent(call, taken, repairs) for call in message.tool_calls)
            if sent != message.tool_calls:
                message = msgspec.structs.replace(message, tool_calls=sent)
            calls = list(reversed(sent))
        repaired.append(message)
    return tuple(repaired)


def _sent(call: ToolCall, taken: set[str], repairs: list[str]) -> ToolCall:
    """Return a call as it is sent, and add its id to the taken ones."""
    call_id = base = _ODD.sub("_", call.id)[:_ID_LENGTH] or "call"
    number = 2
    while call_id in taken:
        ending = f"_{number}"
        call_id = base[: _ID_LENGTH - len(ending)] + ending
        number += 1
    taken.add(call_id)
    if call_id != call.id:
        repairs.append(f"call {call.id!r} of {call.name} has the id of another one, or an odd one: {call_id!r}")
    name = _ODD.sub("_", call.name)[:_NAME_LENGTH] or "unknown"
    if name != call.name:
        repairs.append(f"call {call.id!r} has the odd name {call.name!r}: {name!r}")
    arguments = call.arguments
    if not _is_object(arguments):
        text = arguments.encode(errors="replace").decode()  # JSON takes no lone surrogates
        arguments = msgspec.json.encode({"invalid_json": text}).decode() if text.strip() else "{}"
        repairs.append(f"the arguments of the call {call.id!r} of {call.name} are no JSON object: sent as text")
    if (call_id, name, arguments) == (call.id, call.name, call.arguments):
        return call
    return msgspec.structs.replace(call, id=call_id, name=name, arguments=arguments)


def _is_object(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def _result_of(call_id: str, messages: Sequence[Message], after: int, used: set[int]) -> int | None:
    """Return the index of the result of a call; a later call with the same id ends the search, since ids may repeat."""
    for at in range(after + 1, len(messages)):
        message = messages[at]
        if isinstance(message, ToolResultMessage):
            if message.call_id == call_id and at not in used:
                return at
        elif isinstance(message, ReplyMessage) and any(call.id == call_id for call in message.tool_calls):
            return None
    return None
