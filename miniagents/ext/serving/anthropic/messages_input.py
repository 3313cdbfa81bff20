"""The requests to Anthropic's API: the types of their fields, and their conversations."""

from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from miniagents.ext.llms.estimating import estimate, estimate_text
from miniagents.ext.llms.providers.anthropic_history import from_anthropic
from miniagents.ext.serving.anthropic.blocks import blocks_in
from miniagents.ext.serving.anthropic.threads import check_thread
from miniagents.ext.serving.conversations.conversation_id import ConversationIn
from miniagents.ext.serving.http.json_messages import check_count
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import decode
from miniagents.ext.serving.request_options import fields_in
from miniagents.ext.serving.wants import Special


class UserTurn(msgspec.Struct, frozen=True, tag="user", tag_field="role"):
    """A turn of the user: text, images, documents, results of tools."""

    content: str | list[msgspec.Raw]


class AssistantTurn(msgspec.Struct, frozen=True, tag="assistant", tag_field="role"):
    """A turn of the assistant, with its tool calls."""

    content: str | list[msgspec.Raw]


class SystemTurn(msgspec.Struct, frozen=True, tag="system", tag_field="role"):
    """A system prompt in the middle of a conversation."""

    content: str | list[msgspec.Raw]


class ToolChoice(msgspec.Struct, frozen=True):
    """The choice of a tool; `any` and `tool` demand a call."""

    type: str


class OutputConfig(msgspec.Struct, frozen=True):
    """The form of the answer; `format` is its schema."""

    format: dict[str, Any] | None = None


class CountRequest(msgspec.Struct, frozen=True):
    """A request to count the tokens of a conversation."""

    model: str
    messages: Annotated[list[UserTurn | AssistantTurn | SystemTurn], Meta(min_length=1)]
    system: str | list[msgspec.Raw] | None = None
    tools: list[dict[str, msgspec.Raw]] | None = None


class MessagesRequest(CountRequest, frozen=True, kw_only=True):
    """A request for a message. Agents get the other options if they take them; otherwise these are ignored."""

    max_tokens: Annotated[int, Meta(ge=1, le=2**53)]
    stream: bool | None = False
    conversation: ConversationIn = None
    stop_sequences: list[str] | None = None
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None
    output_format: dict[str, Any] | None = None
    container: str | dict[str, Any] | None = None
    mcp_servers: list[dict[str, Any]] | None = None
    inference_geo: str | None = None
    # The OpenAPI document shows only null, and `check_thread` explains a refusal.
    thread: Annotated[dict[str, Any] | None, Meta(extra_json_schema={"type": "null"})] = None


class Asked(NamedTuple):
    """A parsed request, without its messages.

    Attributes:
        model: The name of the agent.
        stream: Whether the answer is a stream.
        conversation: The conversation of the request.
        demands: The options that the agent must take, since they change the meaning of the answer.
        specials: The blocks that only Anthropic's models take.
        tokens: An estimate of the tokens of the conversation.
    """

    model: str
    stream: bool
    conversation: ConversationIn
    demands: tuple[str, ...]
    specials: tuple[Special, ...]
    tokens: int


def parse_messages(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse a request for a message; see `Parse`."""
    wanted = decode(body, MessagesRequest, status=400)
    check_thread(wanted.thread)
    return _parsed(wanted, body, limits, names)


def parse_count(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse a request for a count of tokens; see `Parse`."""
    return _parsed(decode(body, CountRequest, status=400), body, limits, frozenset())


def _parsed(wanted: CountRequest, body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    check_count(len(wanted.messages), limits)
    specials: list[Special] = []
    system, turns = wanted.system, []
    if isinstance(system, list):
        prompt: Any = blocks_in(system, "system", "system", specials)
    else:
        prompt = system
    for number, turn in enumerate(wanted.messages):
        content: Any = turn.content
        role = str(turn.__struct_config__.tag)
        if isinstance(content, list):
            content = blocks_in(content, role, f"messages[{number}].content", specials)
            # Thoughts of other models than Anthropic's have no signature. Clients return them, and no model wants them.
            content = [block for block in content if block["type"] != "thinking" or block["signature"]]
        turns.append({"role": role, "content": content})
    try:
        messages = from_anthropic(turns, system=prompt)
    except (ValueError, LookupError) as error:  # wrong base64
        text = f"The messages cannot be read: {error} (messages)"
        raise Problem(400, text, param="messages", code="invalid") from None
    tools = msgspec.json.encode(wanted.tools) if wanted.tools else b""
    tokens = estimate(messages) + estimate_text(len(tools))
    asked = Asked(wanted.model, False, None, (), tuple(specials), tokens)
    if isinstance(wanted, MessagesRequest):
        stream, conversation = bool(wanted.stream), wanted.conversation
        asked = asked._replace(stream=stream, conversation=conversation, demands=_demands(wanted))
    return Parsed(asked, messages, fields_in(body, names))


def _demands(wanted: MessagesRequest) -> tuple[str, ...]:
    options = {
        "stop_sequences": wanted.stop_sequences,
        "tool_choice": wanted.tool_choice is not None and wanted.tool_choice.type not in ("auto", "none"),
        "output_config": wanted.output_config is not None and wanted.output_config.format is not None,
        "output_format": wanted.output_format is not None,
        "container": wanted.container is not None,
        "mcp_servers": wanted.mcp_servers,
        "inference_geo": wanted.inference_geo is not None,
    }
    return tuple(name for name, demanded in options.items() if demanded)
