"""The ids of the items of a conversation, under which clients of OpenAI's API find each item again.

An id has the name of the response (or of the turn) that the item came with: `msg_<name>_0` for an item of the answer,
`msg_<name>_in0` for an item of the request.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from miniagents.ext.llms.messages import ReplyMessage, ToolResultMessage
from miniagents.ext.llms.native import NativeMessage
from miniagents.ext.llms.providers.openai_parts import API
from miniagents.ext.serving.reply_pieces import OpenCalls, refusal_of
from miniagents.messages import Message

CONTINUES = "continues_item"
"""The metadata key of a message that is another part of the same item as the message before."""

_ID = re.compile(r"[a-z]+_(.+)_(?:in)?\d+")

Ids: TypeAlias = tuple[str, ...]
"""The ids of the items of one message: first the id of the text, or of the message itself, then the ids of the tool
calls. An item that clients do not see has the id "". Messages that are parts of one item share an id."""


class Identified(NamedTuple):
    """A message, with the ids of its items."""

    message: Message
    ids: Ids


class Place(NamedTuple):
    """The place of an item in a conversation.

    Attributes:
        first: The number of its first message.
        last: The number of its last message.
        call: The number of the tool call in the message, from 1; 0 for the message itself.
    """

    first: int
    last: int
    call: int


def new_name() -> str:
    """Return a new name for a response or a turn, which cannot be guessed."""
    return secrets.token_urlsafe(18)


def name_in(id: str) -> str | None:
    """Return the name of the response that an item came with; None if `id` is not the id of an item."""
    match = _ID.fullmatch(id)
    return match[1] if match is not None else None


def ids_of_input(messages: Iterable[Message], name: str) -> tuple[Ids, ...]:
    """Return the ids of the messages of a request.

    Args:
        messages: The messages.
        name: The name of the response or of the turn.
    """
    ids: list[Ids] = []
    number = 0
    for message in messages:
        if ids and message.metadata.get(CONTINUES):
            ids.append(ids[-1])
            continue
        calls = len(message.tool_calls) if isinstance(message, ReplyMessage) else 0
        own = [] if calls and message.is_aside else [f"{_prefix(message)}_{name}_in{number}"]
        first = number + len(own)
        ids.append((*(own or [""]), *(f"fc_{name}_in{first + call}" for call in range(calls))))
        number = first + calls
    return tuple(ids)


def ids_of_replies(replies: Sequence[Message], name: str) -> tuple[Ids, ...]:
    """Return the ids of the messages of an answer. The numbers are those of the output of a response: texts come first,
    then the tool calls that are left open.

    Args:
        replies: The messages.
        name: The name of the response or of the turn.
    """
    open_calls = OpenCalls()
    for message in replies:
        open_calls.saw(message)
    have_text = [_has_text(message) for message in replies]
    numbers = {call.id: number for number, call in enumerate(open_calls.calls, sum(have_text))}
    ids: list[Ids] = []
    texts = 0
    for message, has_text in zip(replies, have_text, strict=True):
        calls = message.tool_calls if isinstance(message, ReplyMessage) else ()
        own = f"msg_{name}_{texts}" if has_text else ""
        texts += has_text
        ids.append((own, *(f"fc_{name}_{numbers[call.id]}" if call.id in numbers else "" for call in calls)))
    return tuple(ids)


def _has_text(message: Message) -> bool:
    if isinstance(message, ToolResultMessage):
        return False
    return bool(refusal_of(message)) or any(str(token) for token in message.message_to_tokens())


def _prefix(message: Message) -> str:
    if isinstance(message, ToolResultMessage):
        return "fco"
    return "item" if isinstance(message, NativeMessage) and message.api == API else "msg"


def places_of(ids: Iterable[Ids]) -> dict[str, Place]:
    """Return the place of each item of a conversation, in order.

    Args:
        ids: The ids of all messages of the conversation.
    """
    places: dict[str, Place] = {}
    for number, own in enumerate(ids):
        for call, id in enumerate(own):
            if id:
                place = places.get(id, Place(number, number, call))
                places[id] = place._replace(last=number)
    return places
