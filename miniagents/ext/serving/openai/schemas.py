"""Facts about OpenAI's bodies for the OpenAPI document, which their types cannot express.

These are the items that agents take, and the fields that exclude each other.
"""

from collections.abc import Iterable
from typing import Any

from miniagents.ext.serving.openai.item_input import CUSTOM, OTHER_ITEMS
from miniagents.ext.serving.service import Service

REFERENCE = "#/components/schemas/{name}"


def mend(components: dict[str, Any], service: Service) -> None:
    """Add the facts that types cannot express.

    Args:
        components: The named schemas.
        service: The service.
    """
    max_items = service.limits.messages
    wants = {want for entry in service.entries.values() for want in entry.wants}
    _mend_chat(components, wants)
    _mend_parts(components, wants)
    items = _items(components, wants)
    responses = components["ResponsesRequest"]
    responses["properties"] |= components["Echoed"]["properties"]
    listed = list_in(responses["properties"]["input"])
    listed |= {"maxItems": max_items, "minItems": 1, "items": items}
    (text,) = (schema for schema in responses["properties"]["input"]["anyOf"] if schema.get("type") == "string")
    text["minLength"] = 1
    begun = list_in(components["ConversationRequest"]["properties"]["items"])
    for schema in (begun, components["ItemsRequest"]["properties"]["items"]):
        schema |= {"maxItems": max_items, "items": items}
    responses["not"] = {"anyOf": _refused()}
    responses["anyOf"] = [  # or the header X-Conversation
        {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
        for name in ("input", "previous_response_id", "conversation")
    ]
    function = {"properties": {"type": {"const": "function"}}, "required": ["type"]}
    named = {"required": ["name"], "properties": {"name": {"type": "string"}}}
    tool = {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}}
    list_in(responses["properties"]["tools"])["items"] = {**tool, "if": function, "then": named}
    shown = _refs("InputMessageItem", "MessageItem", "FunctionCallItem", "CallOutputItem")
    other = {"type": "object", "required": ["id", "type"], "properties": {"type": {"enum": sorted(OTHER_ITEMS)}}}
    components["Item"] = {"title": "Item", "anyOf": [*shown, other]}
    components["ItemList"]["properties"]["data"]["items"] = {"$ref": REFERENCE.format(name="Item")}


def _mend_chat(components: dict[str, Any], wants: set[str]) -> None:
    """Add the facts about messages of chat completions."""
    parts = _refs("TextPart", "ImagePart", "FilePart", *(("SoundPart",) if "audio" in wants else ()))
    list_in(components["UserIn"]["properties"]["content"])["items"] = {"anyOf": parts}
    _one_of(components["FileData"], "file_data", *(("file_id",) if "file_ids" in wants else ()))
    del components["AssistantIn"]["properties"]["audio"]
    call = components["ToolCallIn"]
    kinds = ("function", "custom") if "items" in wants else ("function",)
    call["anyOf"] = [
        {
            "properties": {"type": {"const": kind}, kind: {"type": "object"}},
            "required": [kind] if kind == "function" else ["type", kind],
        }
        for kind in kinds
    ]


def _mend_parts(components: dict[str, Any], wants: set[str]) -> None:
    """Add the facts about parts of messages of the Responses API."""
    ids = ("file_id",) if "file_ids" in wants else ()
    _one_of(components["InputImage"], "image_url", *ids)
    _one_of(components["InputFile"], "file_url", "file_data", *ids)
    texts = ("InputText", "OutputTextIn", "RefusalPart")
    shown = (*texts, "InputImage", "InputFile")
    parts = (*shown, "InputAudio") if "audio" in wants else shown
    message = components["InputMessage"]
    message["required"] = ["role", "content"]
    message["properties"]["type"] = {"enum": ["message", None]}
    reference = components["ItemReference"]
    reference["required"] = ["id"]
    reference["properties"]["type"] = {"enum": ["item_reference", None]}
    reference["anyOf"] = [
        {"properties": {"type": {"const": "item_reference"}}, "required": ["type"]},
        {"not": {"required": ["role"]}},
    ]
    del message["properties"]["content"], message["properties"]["role"]
    message["anyOf"] = [
        {"properties": {"role": {"const": "user"}, "content": _content(parts)}},
        {"properties": {"role": {"enum": ["system", "developer", "assistant"]}, "content": _content(texts)}},
    ]
    components["InputCallOutput"]["properties"]["output"] = _content(shown)


def _items(components: dict[str, Any], wants: set[str]) -> dict[str, Any]:
    """Return the schema of an item of an input: the items that all agents take, and the others if an agent wants
    them."""
    schemas = _refs("InputMessage", "InputCall", "InputCallOutput", "ItemReference")
    plain = OTHER_ITEMS - CUSTOM.keys() if "items" in wants else {"reasoning"}
    schemas.append({"type": "object", "required": ["type"], "properties": {"type": {"enum": sorted(plain)}}})
    for kind, struct in CUSTOM.items() if "items" in wants else ():
        component = components[struct.__name__]
        component["properties"]["type"] = {"const": kind}
        component["required"] = ["type", *component["required"]]
        schemas += _refs(struct.__name__)
    return {"anyOf": schemas}


def _one_of(component: dict[str, Any], *names: str) -> None:
    """Require one of several fields."""
    component["anyOf"] = [{"properties": {name: {"type": "string"}}, "required": [name]} for name in names]
    if "file_id" not in names:
        component["properties"].pop("file_id", None)


def _content(parts: Iterable[str]) -> dict[str, Any]:
    return {"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": _refs(*parts)}}]}


def list_in(union: dict[str, Any]) -> dict[str, Any]:
    """Return the list among the alternative schemas of a value."""
    schema: dict[str, Any]
    (schema,) = (alternative for alternative in union["anyOf"] if alternative.get("type") == "array")
    return schema


def _refs(*names: str) -> list[dict[str, Any]]:
    return [{"$ref": REFERENCE.format(name=name)} for name in names]


def _refused() -> list[dict[str, Any]]:
    """Return the combinations of fields that are refused."""
    stored = {"properties": {"background": {"const": True}, "store": {"const": False}}}
    both = {"conversation": {"type": ["string", "object"]}, "previous_response_id": {"type": "string"}}
    return [
        {**stored, "required": ["background", "store"]},
        {"properties": both, "required": ["conversation", "previous_response_id"]},
    ]
