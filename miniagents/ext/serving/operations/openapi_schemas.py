"""The schemas of bodies in the document: from their types, with the facts that types cannot express."""

from typing import Any

import msgspec

from miniagents.ext.serving.anthropic.blocks import AssistantBlock, ShownBlock, TextIn, UserBlock
from miniagents.ext.serving.anthropic.messages_api import TokenCount
from miniagents.ext.serving.anthropic.messages_input import CountRequest, MessagesRequest
from miniagents.ext.serving.anthropic.models import AnthropicModel, AnthropicModelList
from miniagents.ext.serving.native import agents_api, events
from miniagents.ext.serving.openai import chat, conversation_items_api, conversations_api, responses_api
from miniagents.ext.serving.openai.chat_input import ChatRequest
from miniagents.ext.serving.openai.item_input import CUSTOM, InputItem
from miniagents.ext.serving.openai.responses_input import Echoed, ResponsesRequest
from miniagents.ext.serving.openai.schemas import REFERENCE, list_in, mend
from miniagents.ext.serving.operations import admin_api as operations
from miniagents.ext.serving.operations import waits_api
from miniagents.ext.serving.served_agent import Entry
from miniagents.ext.serving.service import Service
from miniagents.ext.wire.anthropic import AnthropicError, AnthropicMessage
from miniagents.ext.wire.openai_chat import ChatChunk, ChatCompletion
from miniagents.ext.wire.openai_errors import ErrorBody
from miniagents.ext.wire.openai_items import CallOutputItem, InputMessageItem, ItemList
from miniagents.ext.wire.openai_responses import ResponseBody

_BODY_TYPES: tuple[Any, ...] = (
    ErrorBody,
    chat.Model,
    chat.ModelList,
    ChatRequest,
    ChatCompletion,
    ChatChunk,
    MessagesRequest,
    CountRequest,
    UserBlock,
    AssistantBlock,
    ShownBlock,
    TextIn,
    AnthropicMessage,
    AnthropicError,
    AnthropicModel,
    AnthropicModelList,
    TokenCount,
    ResponsesRequest,
    Echoed,
    InputItem,
    *CUSTOM.values(),
    ResponseBody,
    InputMessageItem,
    CallOutputItem,
    ItemList,
    responses_api.Deleted,
    conversations_api.ConversationRequest,
    conversations_api.ConversationUpdate,
    conversation_items_api.ItemsRequest,
    conversations_api.ConversationInfo,
    conversations_api.ConversationDeleted,
    agents_api.AgentList,
    agents_api.AgentRequest,
    agents_api.AgentReply,
    events.Event,
    operations.Health,
    operations.InteractionList,
    operations.Stopped,
    waits_api.WaitList,
    waits_api.AnswerRequest,
    waits_api.AnswerTaken,
)


def schemas_of(service: Service) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """Return the schemas of all bodies.

    Args:
        service: The service.

    Returns:
        The schema of each type, and the named schemas that these refer to, with a request for each agent.
    """
    arguments = [entry.arguments for entry in service.entries.values()]
    made, components = msgspec.json.schema_components((*_BODY_TYPES, *arguments), ref_template=REFERENCE)
    schemas = dict(zip(_BODY_TYPES, made, strict=False))
    _mend(components, service)
    _mend_blocks(components, service, schemas)
    for entry, own in zip(service.entries.values(), made[len(_BODY_TYPES) :], strict=True):
        components[request_of(entry)] = _agent_request(components, own, needed=_needs(entry.arguments))
    return schemas, components


def request_of(entry: Entry) -> str:
    """Return the name of the schema of a call of an agent."""
    return f"{entry.arguments.__name__.removesuffix('_arguments')}_request"


def _mend(components: dict[str, Any], service: Service) -> None:
    """Add the facts that types cannot express: the models, and the limits of this service."""
    names, max_items = list(service.entries), service.limits.messages
    for request in ("ChatRequest", "MessagesRequest", "ResponsesRequest"):
        components[request]["properties"]["model"] = {"enum": names}
        options = [_options_of(components, entry) for entry in service.entries.values() if entry.argument_names]
        if options:
            components[request]["allOf"] = options
    for request in ("ChatRequest", "MessagesRequest", "CountRequest"):
        components[request]["properties"]["messages"]["maxItems"] = max_items
    mend(components, service)
    agent = components["AgentRequest"]["properties"]
    (listed,) = (schema for schema in agent["messages"]["anyOf"] if "items" in schema)
    listed["maxItems"] = max_items
    agent["keep"]["maximum"] = service.limits.keep
    message = components["MessageIn"]
    text = {name: message["properties"][name] for name in ("content", "role")}
    common = {"type": "object", "additionalProperties": False}
    components["MessageIn"] = {
        "title": "MessageIn",
        "description": message["description"],
        "anyOf": [
            {**common, "properties": text, "required": ["content"]},
            {**common, "properties": {"data": message["properties"]["data"]}, "required": ["data"]},
        ],
    }


def _mend_blocks(components: dict[str, Any], service: Service, schemas: dict[Any, dict[str, Any]]) -> None:
    """Add the kinds of blocks that the types leave open, and the options that no agent takes.

    Options for models of Anthropic alone are not listed: each agent may take them or not, with any type.
    """
    text = schemas[TextIn]
    for turn, block in {
        "UserTurn": schemas[UserBlock],
        "AssistantTurn": schemas[AssistantBlock],
        "SystemTurn": text,
        "ToolResultIn": schemas[ShownBlock],
    }.items():
        list_in(components[turn]["properties"]["content"])["items"] = block
    for request in ("MessagesRequest", "CountRequest"):
        properties = components[request]["properties"]
        properties["model"] = {"enum": list(service.entries)}
        list_in(properties["system"])["items"] = text
    if not any("blocks" in entry.wants for entry in service.entries.values()):
        file = REFERENCE.format(name="FileSource")
        for component in ("ImageIn", "DocumentIn"):
            sources = components[component]["properties"]["source"]
            sources["anyOf"] = [source for source in sources["anyOf"] if source["$ref"] != file]
            kinds = sources["discriminator"]["mapping"]
            sources["discriminator"]["mapping"] = {kind: schema for kind, schema in kinds.items() if schema != file}
    taken = {name for entry in service.entries.values() for name in entry.argument_names}
    properties = components["MessagesRequest"]["properties"]
    for name, narrowed in _UNTAKEN.items():
        if name not in taken:
            properties[name] = narrowed


_UNTAKEN: dict[str, Any] = {
    "stop_sequences": {"anyOf": [{"type": "array", "maxItems": 0}, {"type": "null"}], "default": None},
    "tool_choice": {
        "anyOf": [
            {"type": "object", "properties": {"type": {"enum": ["auto", "none"]}}, "required": ["type"]},
            {"type": "null"},
        ],
        "default": None,
    },
    "output_config": {
        "anyOf": [{"type": "object", "properties": {"format": {"type": "null"}}}, {"type": "null"}],
        "default": None,
    },
    "mcp_servers": {"anyOf": [{"type": "array", "maxItems": 0}, {"type": "null"}], "default": None},
    **{name: {"type": "null", "default": None} for name in ("output_format", "container", "inference_geo")},
}
"""The options that change the meaning of an answer, for services without an agent that takes them."""


def _options_of(components: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """Return the schema of a request with this agent as its model."""
    own = components[entry.arguments.__name__]
    taken = {name: own[name] for name in ("properties", "required") if name in own}
    return {"if": {"properties": {"model": {"const": entry.name}}}, "then": taken}


def _agent_request(components: dict[str, Any], arguments: dict[str, Any], *, needed: bool) -> dict[str, Any]:
    """Return the schema of a call of one agent, with its arguments."""
    base = components["AgentRequest"]
    required = ["arguments"] if needed else []
    return {**base, "properties": {**base["properties"], "arguments": arguments}, "required": required}


def _needs(arguments: type[msgspec.Struct]) -> bool:
    return any(field.required for field in msgspec.structs.fields(arguments))
