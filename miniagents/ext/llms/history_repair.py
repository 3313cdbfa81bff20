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
"""What neither ids nor names may have, with the strictest of the providers."""


def well_formed(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """Repair a conversation, so that every provider takes it, whoever made it.

    Results follow the calls that they answer, in the order of the calls. A call without a result gets one that says
    `cancelled`; a result without a call, and the second one of a call, are left out.

    An id that came before, or that has letters which not all providers take, becomes another one, in the call and in
    its result; so does the name of a tool. What comes first keeps its id, so that a conversation that goes on is sent
    with the same ids again. Arguments that are no JSON object become one that has them as text, as `invalid_json`.

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
    return _with_own_ids(whole, repairs), tuple(repairs)


def is_blank(messages: Sequence[Message]) -> bool:
    """Whether a conversation says nothing: no provider takes one."""
    return not any(isinstance(one, ToolResultMessage) or str(one).strip() for one in messages)


def _with_own_ids(messages: Sequence[Message], repairs: list[str]) -> tuple[Message, ...]:
    """The same conversation, in which the results follow their calls, with calls that every provider takes."""
    taken: set[str] = set()
    found: list[Message] = []
    calls: list[ToolCall] = []  # those whose results follow, the last one first
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
        found.append(message)
    return tuple(found)


def _sent(call: ToolCall, taken: set[str], repairs: list[str]) -> ToolCall:
    """A call as it is sent; its id is taken from then on."""
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
        said = arguments.encode(errors="replace").decode()  # halves of letters are no JSON either
        arguments = msgspec.json.encode({"invalid_json": said}).decode() if said.strip() else "{}"
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
    """Where the result of a call is: before another call of the same id, since ids may come again."""
    for at in range(after + 1, len(messages)):
        message = messages[at]
        if isinstance(message, ToolResultMessage):
            if message.call_id == call_id and at not in used:
                return at
        elif isinstance(message, ReplyMessage) and any(call.id == call_id for call in message.tool_calls):
            return None
    return None
