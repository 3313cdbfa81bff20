"""Items: the messages of a conversation in the form of OpenAI's API."""

from collections.abc import Iterable, Sequence

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
from miniagents.ext.llms.providers.openai_parts import API
from miniagents.ext.serving.conversations.item_ids import Identified, Ids
from miniagents.ext.serving.openai.item_input import CUSTOM
from miniagents.ext.serving.reply_pieces import refusal_of
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


def joined_calls(entries: Iterable[Identified]) -> list[Identified]:
    """Return the same conversation, with consecutive tool calls joined into one message, together with the text of the
    same model before them. Results get the names of their tools.

    Args:
        entries: The conversation.
    """
    joined: list[Identified] = []
    replies: list[tuple[ReplyMessage, Ids]] = []
    names: dict[str, str] = {}
    for message, ids in entries:
        if isinstance(message, ReplyMessage):
            names |= {call.id: call.name for call in message.tool_calls}
            if replies and not message.is_aside:
                joined.append(_joined(replies))
                replies = []
            replies.append((message, ids))
            continue
        if replies:
            joined.append(_joined(replies))
            replies = []
        if isinstance(message, ToolResultMessage) and not message.name:
            message = msgspec.structs.replace(message, name=names.get(message.call_id, ""))
        joined.append(Identified(message, ids))
    return [*joined, _joined(replies)] if replies else joined


def _joined(replies: list[tuple[ReplyMessage, Ids]]) -> Identified:
    """Return several replies as one: the first, with the calls of all."""
    (first, ids), *others = replies
    if not others:
        return Identified(first, ids)
    calls = tuple(call for reply, _ in replies for call in reply.tool_calls)
    both = msgspec.structs.replace(first, tool_calls=calls)
    return Identified(both, (*ids, *(id for _, own in others for id in own[1:])))


def excerpt(message: Message, call: int) -> Message:
    """Return a message without its tool calls, or, with the number of a call, with that call alone.

    Args:
        message: The message.
        call: The number of the tool call, from 1; 0 for the message itself.
    """
    if not isinstance(message, ReplyMessage):
        return message
    if call:
        return msgspec.structs.replace(message, content="", tool_calls=(message.tool_calls[call - 1],))
    return msgspec.structs.replace(message, tool_calls=())


def item_of(id: str, messages: Sequence[Message], call: int) -> Item:
    """Return an item in the form of the API.

    Args:
        id: The id of the item.
        messages: The messages of the item.
        call: The number of the tool call in the message, from 1; 0 for the message itself.
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
    input_role = role if role in ("system", "developer") else "user"
    return InputMessageItem(id, input_role, tuple(map(_part, messages)))  # type: ignore[arg-type]  # one of the three


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
