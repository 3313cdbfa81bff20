"""Texts without lone surrogates, which any encoding takes.

Strings of Python may hold lone surrogates, halves of a letter: providers' JSON that was cut within an emoji has them,
and so have file names that are not UTF-8. Neither JSON nor the wire format takes them.
"""

from typing import Any

import msgspec

from miniagents.ext.llms.messages import ReplyMessage, ToolResultMessage
from miniagents.messages import Message


class Halves:
    """Joins letters of which a stream sent the two halves in two pieces: an emoji is two UTF-16 surrogates."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = ""

    def joined(self, piece: str) -> str:
        """Return the sound text of the next piece; half a letter at its end is held until the next one."""
        piece = self.held + piece
        self.held = ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            piece, self.held = piece[:-1], piece[-1]
        return sound(piece)

    def end(self) -> str:
        """Return the held half of a letter, as U+FFFD, at the end of the stream."""
        half, self.held = self.held, ""
        return sound(half)


def all_sound(value: Any) -> Any:
    """Return the same data with sound texts."""
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, dict):
        return {sound(name): all_sound(item) for name, item in value.items()}
    return [all_sound(item) for item in value] if isinstance(value, list) else value


def sound(text: str) -> str:
    """Return a text that any encoding takes: halves of a letter are joined, and lone ones become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def sound_message(message: Message) -> Message:
    """Return the same message with sound texts in its fields; the message itself if they are sound."""
    changed: dict[str, Any] = {}
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if value.__class__ is str and not value.isascii():
            text = sound(value)
            if text is not value:
                changed[name] = text
    inner: tuple[Message, ...] = ()
    if isinstance(message, ReplyMessage):
        inner, name = message.tool_calls, "tool_calls"
    elif isinstance(message, ToolResultMessage):
        inner, name = message.parts, "parts"
    if inner:
        mended = tuple(map(sound_message, inner))
        if any(new is not old for new, old in zip(mended, inner, strict=True)):
            changed[name] = mended
    return msgspec.structs.replace(message, **changed) if changed else message
