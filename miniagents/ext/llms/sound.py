"""Texts that any encoding takes.

Python's texts may have halves of letters (lone surrogates): a provider's JSON that was cut within an emoji has them,
and names of files that are no UTF-8. Neither JSON nor the wire takes them.
"""

from typing import Any

import msgspec

from miniagents.ext.llms.messages import ReplyMessage
from miniagents.messages import Message


class Halves:
    """Puts letters together that came in two halves, as two pieces of a text: an emoji is two UTF-16 surrogates."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = ""

    def joined(self, piece: str) -> str:
        """The text that is sound by now; half a letter at its end waits for the other half."""
        piece = self.held + piece
        self.held = ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            piece, self.held = piece[:-1], piece[-1]
        return sound(piece)

    def end(self) -> str:
        """What is left: half a letter is a question mark."""
        left, self.held = self.held, ""
        return sound(left)


def all_sound(value: Any) -> Any:
    """The same data, with sound texts."""
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, dict):
        return {sound(name): all_sound(one) for name, one in value.items()}
    return [all_sound(one) for one in value] if isinstance(value, list) else value


def sound(text: str) -> str:
    """A text that any encoding takes: halves of letters are joined, and those alone become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def sound_message(message: Message) -> Message:
    """The same message, with sound texts in its fields; the message itself where they are."""
    changed: dict[str, Any] = {}
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if value.__class__ is str and not value.isascii():
            text = sound(value)
            if text is not value:
                changed[name] = text
    if isinstance(message, ReplyMessage) and message.tool_calls:
        calls = tuple(map(sound_message, message.tool_calls))
        if any(one is not other for one, other in zip(calls, message.tool_calls, strict=True)):
            changed["tool_calls"] = calls
    return msgspec.structs.replace(message, **changed) if changed else message
