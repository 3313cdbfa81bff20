"""What comes in through Anthropic's API: conversations as its clients write them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from miniagents.ext.llms.providers.anthropic_mapping import from_anthropic
from miniagents.ext.llms.providers.mapping import joined
from miniagents.ext.serving.naming import ConversationIn
from miniagents.ext.serving.problems import Problem
from miniagents.ext.wire.anthropic import TextBlock, ToolUseBlock
from miniagents.messages import Message


class Base64Source(msgspec.Struct, frozen=True, tag="base64", tag_field="type"):
    """Bytes, in base64."""

    media_type: str
    data: Annotated[str, Meta(pattern="^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]


class UrlSource(msgspec.Struct, frozen=True, tag="url", tag_field="type"):
    """Where it is."""

    url: str


class ImageBlock(msgspec.Struct, frozen=True, tag="image", tag_field="type"):
    """An image."""

    source: Base64Source | UrlSource


class DocumentBlock(msgspec.Struct, frozen=True, tag="document", tag_field="type"):
    """A file."""

    source: Base64Source | UrlSource


class ToolResultBlock(msgspec.Struct, frozen=True, tag="tool_result", tag_field="type"):
    """What a tool answered."""

    tool_use_id: str
    content: str | list[TextBlock | ImageBlock] | None = None
    is_error: bool = False


class ThinkingBlock(msgspec.Struct, frozen=True, tag="thinking", tag_field="type"):
    """What a model thought; it is skipped."""


class RedactedThinkingBlock(msgspec.Struct, frozen=True, tag="redacted_thinking", tag_field="type"):
    """What a model thought; it is skipped."""


class UserTurn(msgspec.Struct, frozen=True, tag="user", tag_field="role"):
    """What a user says, shows, or answers for a tool."""

    content: str | list[TextBlock | ImageBlock | DocumentBlock | ToolResultBlock]


class AssistantTurn(msgspec.Struct, frozen=True, tag="assistant", tag_field="role"):
    """What the assistant said, and the tools that it asked for."""

    content: str | list[TextBlock | ToolUseBlock | ThinkingBlock | RedactedThinkingBlock]


class SystemBlock(msgspec.Struct, frozen=True):
    """Text of what the agent is told beforehand."""

    text: str
    type: Literal["text"] = "text"


class MessagesRequest(msgspec.Struct, frozen=True):
    """A request for a message. Other options go to agents that take them, and are ignored otherwise."""

    model: str
    max_tokens: Annotated[int, Meta(ge=1, le=2**53)]
    messages: Annotated[list[UserTurn | AssistantTurn], Meta(min_length=1)]
    system: str | list[SystemBlock] | None = None
    stream: bool = False
    conversation: ConversationIn = None
    # The document says what is taken, `check_thread` says more than that it is not taken.
    thread: Annotated[dict[str, Any] | None, Meta(extra_json_schema={"type": "null"})] = None


def conversation_of(wanted: MessagesRequest) -> tuple[Message, ...]:
    """The conversation of a request.

    Raises:
        Problem: 400: it is none.
    """
    system = wanted.system
    told = joined([block.text for block in system]) if isinstance(system, list) else system
    try:
        return from_anthropic(msgspec.to_builtins(wanted.messages), system=told)
    except (ValueError, LookupError) as error:  # base64 that is none
        text = f"The messages cannot be read: {error} (messages)"
        raise Problem(400, text, param="messages", code="invalid") from None
