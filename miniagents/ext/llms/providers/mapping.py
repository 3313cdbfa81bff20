"""What the mappings of conversations to the providers' dictionaries have in common."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from miniagents.errors import UnsupportedContentError
from miniagents.ext.llms.messages import FileMessage, ToolResultMessage
from miniagents.ext.llms.native import NativeMessage
from miniagents.messages import Message, UserMessage

ROLES = ("system", "developer", "user", "assistant", "tool")


def role_of(message: Message) -> str:
    """Who says it; whatever has no role is the user's."""
    role = getattr(message, "role", None) or message.metadata.get("role")
    return str(role) if role in ROLES else "user"


def systems_first(messages: Iterable[Message]) -> tuple[list[Message], list[Message]]:
    """The system prompts, and all others, each in their order."""
    systems: list[Message] = []
    others: list[Message] = []
    for message in messages:
        (systems if role_of(message) in ("system", "developer") else others).append(message)
    return systems, others


def readable(messages: Iterable[Message], api: str, *, takes_context: bool = False) -> list[Message]:
    """Messages as models of an API can read them, in tool results too: what has another API's form becomes its parts,
    and what is said about a file comes before it.

    Args:
        messages: The messages.
        api: The API.
        takes_context: Whether it has a place for what is said about a file.

    Raises:
        UnsupportedContentError: Only models of another API can read one.
    """
    found: list[Message] = []
    for message in messages:
        if isinstance(message, NativeMessage) and message.api != api:
            if not message.parts:
                raise UnsupportedContentError(f"only models of {message.api} take a part of the kind {message.kind!r}")
            found += readable(message.parts, api, takes_context=takes_context)
        elif not takes_context and isinstance(message, FileMessage) and message.context and message.text is None:
            found += [UserMessage(message.about), message]
        elif isinstance(message, ToolResultMessage) and message.parts:
            found.append(
                msgspec.structs.replace(message, parts=tuple(readable(message.parts, api, takes_context=takes_context)))
            )
        else:
            found.append(message)
    return found


def joined(texts: Sequence[str]) -> str:
    """Texts as one, with blank lines between them."""
    return "\n\n".join(text for text in texts if text.strip())


def json_arguments(text: str) -> dict[str, Any]:
    """The arguments of a tool call as a dict; what is no JSON object goes back to the model as it was said."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"invalid_json": text}
