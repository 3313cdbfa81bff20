"""Items: a conversation as clients of OpenAI's see it, each item with an id by which it can be found again.

An id has the name of the response (or of the turn) that the item came with: `msg_<name>_0` for what was answered,
`msg_<name>_in0` for what was asked.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from miniagents.ext.llms.messages import (
    AudioMessage,
    FileMessage,
    ImageMessage,
    ReplyMessage,
    ToolResultMessage,
)
from miniagents.ext.llms.native import NativeMessage
from miniagents.ext.llms.providers.mapping import role_of
from miniagents.ext.llms.providers.openai_mapping import API
from miniagents.ext.serving.openai.item_input import CONTINUES, CUSTOM
from miniagents.ext.serving.reply_pieces import OpenCalls, refusal_of
from miniagents.ext.wire.openai_items import (
    CallOutputItem,
    InputAudioPart,
    InputFilePart,
    InputImagePart,
    InputMessageItem,
    InputPart,
    InputTextPart,
    Item,
    Sound,
)
from miniagents.ext.wire.openai_responses import FunctionCallItem, MessageItem, OutputText
from miniagents.ext.wire.openai_responses import Refusal as RefusalPart
from miniagents.messages import AssistantMessage, Message
from miniagents.messages.frozen import thaw

_ID = re.compile(r"[a-z]+_(.+)_(?:in)?\d+")

Ids: TypeAlias = tuple[str, ...]
"""The ids of the items that a message is: first that of its text, or of itself, then those of its tool calls, "" for
what clients do not see. A message that is one more part of an item has the same id."""


class Identified(NamedTuple):
    """A message, with the ids of its items."""

    message: Message
    ids: Ids


class Place(NamedTuple):
    """Where an item is in a conversation.

    Attributes:
        first: The number of its first message.
        last: The number of its last message.
        call: The number of the tool call in the message, from 1; 0 for the message itself.
    """

    first: int
    last: int
    call: int


def new_name() -> str:
    """The name of a response, or of a turn; it cannot be guessed."""
    return secrets.token_urlsafe(18)


def name_in(id: str) -> str | None:
    """The name of the response that an item came with; None for what is no id of an item."""
    found = _ID.fullmatch(id)
    return found[1] if found is not None else None


def ids_of_input(messages: Iterable[Message], name: str) -> tuple[Ids, ...]:
    """The ids of what was asked."""
    found: list[Ids] = []
    number = 0
    for message in messages:
        if found and message.metadata.get(CONTINUES):
            found.append(found[-1])
            continue
        calls = len(message.tool_calls) if isinstance(message, ReplyMessage) else 0
        own = [] if calls and message.is_aside else [f"{_prefix(message)}_{name}_in{number}"]
        first = number + len(own)
        found.append((*(own or [""]), *(f"fc_{name}_in{first + one}" for one in range(calls))))
        number = first + calls
    return tuple(found)


def ids_of_replies(replies: Sequence[Message], name: str) -> tuple[Ids, ...]:
    """The ids of what was answered, as `ResponseEvents` numbers it: texts first, and then calls that are left open."""
    open_calls = OpenCalls()
    for message in replies:
        open_calls.saw(message)
    says = [_says_something(message) for message in replies]
    numbers = {call.id: number for number, call in enumerate(open_calls.calls, sum(says))}
    found: list[Ids] = []
    said = 0
    for message, says_something in zip(replies, says, strict=True):
        calls = message.tool_calls if isinstance(message, ReplyMessage) else ()
        own = f"msg_{name}_{said}" if says_something else ""
        said += says_something
        found.append((own, *(f"fc_{name}_{numbers[call.id]}" if call.id in numbers else "" for call in calls)))
    return tuple(found)


def _says_something(message: Message) -> bool:
    if isinstance(message, ToolResultMessage):
        return False
    return bool(refusal_of(message)) or any(str(token) for token in message.message_to_tokens())


def _prefix(message: Message) -> str:
    if isinstance(message, ToolResultMessage):
        return "fco"
    return "item" if isinstance(message, NativeMessage) and message.api == API else "msg"


def joined_calls(entries: Iterable[Identified]) -> list[Identified]:
    """The same conversation, where calls that follow each other are one message, with what was said before them by the
    same model, and results have the names of their tools."""
    found: list[Identified] = []
    replies: list[tuple[ReplyMessage, Ids]] = []
    names: dict[str, str] = {}
    for message, ids in entries:
        if isinstance(message, ReplyMessage):
            names |= {call.id: call.name for call in message.tool_calls}
            if replies and not message.is_aside:
                found.append(_joined(replies))
                replies = []
            replies.append((message, ids))
            continue
        if replies:
            found.append(_joined(replies))
            replies = []
        if isinstance(message, ToolResultMessage) and not message.name:
            message = msgspec.structs.replace(message, name=names.get(message.call_id, ""))
        found.append(Identified(message, ids))
    return [*found, _joined(replies)] if replies else found


def _joined(replies: list[tuple[ReplyMessage, Ids]]) -> Identified:
    """Replies as one: the first, with the calls of all."""
    (first, ids), *more = replies
    if not more:
        return Identified(first, ids)
    calls = tuple(call for reply, _ in replies for call in reply.tool_calls)
    both = msgspec.structs.replace(first, tool_calls=calls)
    return Identified(both, (*ids, *(id for _, own in more for id in own[1:])))


def places_of(ids: Iterable[Ids]) -> dict[str, Place]:
    """Where each item of a conversation is, in order."""
    found: dict[str, Place] = {}
    for number, own in enumerate(ids):
        for call, id in enumerate(own):
            if id:
                place = found.get(id, Place(number, number, call))
                found[id] = place._replace(last=number)
    return found


def excerpt(message: Message, call: int) -> Message:
    """What a message says without its tool calls, or, with the number of one, that call alone."""
    if not isinstance(message, ReplyMessage):
        return message
    if call:
        return msgspec.structs.replace(message, content="", tool_calls=(message.tool_calls[call - 1],))
    return msgspec.structs.replace(message, tool_calls=())


def item_of(id: str, messages: Sequence[Message], call: int) -> Item:
    """An item, as it is sent.

    Args:
        id: Its id.
        messages: The messages that it is.
        call: The number of the tool call in the message; 0 for the message itself.
    """
    message = messages[0]
    if call and isinstance(message, ReplyMessage):
        made = message.tool_calls[call - 1]
        return FunctionCallItem(id, made.id, made.name, made.arguments)
    if isinstance(message, ToolResultMessage):
        output = tuple(map(_part, message.parts)) if message.parts else message.content
        return CallOutputItem(id, message.call_id, output)
    if isinstance(message, NativeMessage) and message.api == API:
        status = {"status": "completed"} if message.kind in CUSTOM else {}
        return {**status, **thaw(message.item), "id": id}
    role = role_of(message)
    if role == "assistant":
        return _said(id, message)
    told = role if role in ("system", "developer") else "user"
    return InputMessageItem(id, told, tuple(map(_part, messages)))  # type: ignore[arg-type]  # one of the three


def _said(id: str, message: Message) -> MessageItem:
    refusal = refusal_of(message)
    text = message.content if isinstance(message, AssistantMessage) else str(message)
    texts = (OutputText(text),) if text or not refusal else ()
    return MessageItem(id, (*texts, RefusalPart(refusal)) if refusal else texts)


def _part(message: Message) -> InputPart:
    match message:
        case ImageMessage(file_id=str(id)):
            return InputImagePart(file_id=id)
        case ImageMessage():
            return InputImagePart(image_url=message.data_url)
        case FileMessage(file_id=str(id)):
            return InputFilePart(file_id=id)
        case FileMessage(url=str(url)):
            return InputFilePart(message.filename, file_url=url)
        case FileMessage():
            return InputFilePart(message.filename, file_data=message.data_url)
        case AudioMessage():
            return InputAudioPart(Sound(message.base64, message.format))
        case _:
            return InputTextPart(str(message))
