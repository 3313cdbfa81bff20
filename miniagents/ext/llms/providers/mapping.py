"""What the mappings of conversations to the providers' dictionaries have in common."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from miniagents.messages import Message

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


def joined(texts: Sequence[str]) -> str:
    """Texts as one, with blank lines between them."""
    return "\n\n".join(text for text in texts if text.strip())


def json_arguments(text: str) -> dict[str, Any]:
    """The arguments of a tool call as a dict; what is no JSON object goes back to the model as it was said."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"invalid_json": text}
