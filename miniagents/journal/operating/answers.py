"""Answers as an operator gives them, a text or JSON, and the messages that they become."""

from typing import Any

import msgspec

from miniagents.control.protocol import mistake
from miniagents.errors import MiniAgentsError
from miniagents.messages import DataMessage, Message, TextMessage, decode, registry
from miniagents.messages.codec import MESSAGE, to_wire
from miniagents.messages.frozen import freeze


def answer_of(text: str | None, data: Any, kind: str) -> Message:
    """Return the message of an answer.

    Args:
        text: The text; None if the answer is data.
        data: What JSON has been read.
        kind: The type of the message on the wire; "" for a `TextMessage`, or a `DataMessage`.

    Raises:
        CommandError: It cannot become such a message.

    Example:
        >>> answer_of("yes", None, "")
        TextMessage(content='yes', role=None, metadata=FrozenDict({}))
        >>> answer_of(None, {"approved": True}, "")["approved"]
        True
    """
    if text is not None and not kind:
        return TextMessage(text)
    if text is None and not isinstance(data, dict):
        raise mistake(f"the data of an answer are a JSON object, not {type(data).__name__}")
    if not kind:
        return DataMessage(data)
    if registry.message_class(kind) is None:
        raise mistake(
            f"this process has no message type {kind!r}: run the program that defines it, and deliver the answer to it"
        )
    fields = {"content": text} if text is not None else data
    try:
        wire: list[Any] = [MESSAGE, kind]
        for name, value in fields.items():
            wire += (name, to_wire(freeze(value, name), name, 1))
        return decode(msgspec.msgpack.encode(wire))
    except MiniAgentsError as error:
        raise mistake(f"this is no {kind}: {error}") from None
