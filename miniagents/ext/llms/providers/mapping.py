"""Functions that all mappings of conversations to the providers' dictionaries use."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from miniagents.errors import UnsupportedContentError
from miniagents.ext.llms.blocks import told
from miniagents.ext.llms.messages import FileMessage, ReplyMessage, ToolResultMessage
from miniagents.ext.llms.native import NativeMessage
from miniagents.ext.llms.parts import Citation, HostedToolCall, HostedToolResult, ReasoningMessage
from miniagents.ext.llms.providers.openai_parts import is_hosted_call
from miniagents.messages import AssistantMessage, Message, UserMessage

_PARTS = (ReasoningMessage, HostedToolCall, HostedToolResult, Citation)
ROLES = ("system", "developer", "user", "assistant", "tool")


def role_of(message: Message) -> str:
    """Return the role of a message; "user" for a message without one."""
    role = getattr(message, "role", None) or message.metadata.get("role")
    return str(role) if role in ROLES else "user"


def systems_first(messages: Iterable[Message]) -> tuple[list[Message], list[Message]]:
    """Return the system prompts and all other messages, each in their order."""
    systems: list[Message] = []
    others: list[Message] = []
    for message in messages:
        (systems if role_of(message) in ("system", "developer") else others).append(message)
    return systems, others


def readable(
    messages: Iterable[Message], api: str, *, takes_context: bool = False, takes_parts: bool = True
) -> list[Message]:
    """Return messages that the models of an API can read, also within tool results.

    Native messages of another API become their parts, and the context of a file becomes a message before it. Reasoning
    and hosted calls of another API are left out, and hosted results become text.

    Args:
        messages: The messages.
        api: The API.
        takes_context: True if the API has a field for the context of a file.
        takes_parts: True if the API takes reasoning and hosted tools.

    Raises:
        UnsupportedContentError: Only models of another API can read one of the messages.
    """
    result: list[Message] = []
    for message in messages:
        if isinstance(message, _PARTS):
            result += _part(message, api if takes_parts else None)
        elif isinstance(message, NativeMessage) and message.api != api:
            if not message.parts:
                raise UnsupportedContentError(f"only models of {message.api} take a part of the kind {message.kind!r}")
            result += readable(message.parts, api, takes_context=takes_context, takes_parts=takes_parts)
        elif not takes_context and isinstance(message, FileMessage) and message.context and message.text is None:
            result += [UserMessage(message.about), message]
        elif isinstance(message, ToolResultMessage) and message.parts:
            result.append(
                msgspec.structs.replace(message, parts=tuple(readable(message.parts, api, takes_context=takes_context)))
            )
        else:
            result.append(message)
    return result


def _part(message: Message, api: str | None) -> list[Message]:
    """Return a part of a reply that stands alone in a conversation, in a form that an API takes; None for no parts."""
    if isinstance(message, Citation):
        return []  # it is a part of a text
    if isinstance(message, HostedToolResult):
        if message.api != api:
            return [AssistantMessage(told([message]))] if message.content.strip() else []
        return [] if is_hosted_call(message.item) else [message]  # the item of the call has the result
    return [message] if isinstance(message, NativeMessage) and message.api == api else []


def same_reply(message: ReplyMessage, texts: Sequence[str], calls: int) -> bool:
    """Return whether a reply still says what its blocks say; a program may have changed it.

    Args:
        message: The reply.
        texts: The texts in its blocks.
        calls: The number of tool calls in its blocks.
    """
    return len(message.tool_calls) == calls and message.content in ("".join(texts), joined(texts))


def told_first(message: ReplyMessage) -> str:
    """Return the text of a reply for a provider that does not take its blocks: after the results of hosted tools."""
    return joined([told(message.parts), message.content])


def joined(texts: Sequence[str]) -> str:
    """Join texts with blank lines between them; blank texts are left out."""
    return "\n\n".join(text for text in texts if text.strip())


def json_arguments(text: str) -> dict[str, Any]:
    """Return the arguments of a tool call as a dict; `invalid_json` has a text that is no JSON object."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"invalid_json": text}
