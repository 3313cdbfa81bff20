"""JSON schemas that the real APIs refuse with a 400, and the text of the refusal."""

from collections.abc import Iterator, Mapping
from typing import Any

_STRICT_WORDS = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const", "$ref", "$defs"),
        *("title", "description", "pattern", "format", "multipleOf", "minimum", "maximum", "exclusiveMinimum"),
        *("exclusiveMaximum", "minItems", "maxItems"),
        "$schema",  # the official SDK for Node sends it
    }
)
"""The keywords of OpenAI's strict mode: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas"""
_STRICT_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_FORMAT_WORDS = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "anyOf", "allOf", "enum", "const", "$ref"),
        *("$defs", "title", "description", "default", "pattern", "format", "minItems"),
    }
)
"""The keywords of Anthropic's structured outputs:
https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations"""


def refused_schema(path: str, body: Mapping[str, Any]) -> str | None:
    """Return the text with which an API refuses the schema of a tool or of the output, or None.

    Args:
        path: The path of the API.
        body: The body of the request.

    Example:
        >>> refused_schema("/v1/messages", {"output_config": {"format": {"schema": {"type": "array", "maxItems": 3}}}})
        "output_config.format.schema: property 'maxItems' is not supported"
    """
    if path.endswith("/messages"):
        schema = _inside(body, "output_config", "format", "schema")
        return _refused("output_config.format.schema", schema, _FORMAT_WORDS) if isinstance(schema, dict) else None
    for name, schema, strict in _schemas(body):
        problem = _refused(name, schema, _STRICT_WORDS) if strict else _without_items(name, schema)
        if problem is not None:
            return problem
    return None


def _schemas(body: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    """Yield the schemas of a request to OpenAI, each with its name and whether it is for strict mode."""
    for tool in body.get("tools") or ():
        function = tool.get("function", tool)
        if "parameters" in function:
            yield function["name"], function["parameters"], bool(function.get("strict"))
    output = _inside(body, "response_format", "json_schema") or _inside(body, "text", "format")
    if isinstance(output, dict) and "schema" in output:
        yield output["name"], output["schema"], bool(output.get("strict"))


def _inside(body: Any, *names: str) -> Any:
    """Return what stands under one name inside the other; None if there is nothing, or something else on the way."""
    for name in names:
        body = body.get(name) if isinstance(body, dict) else None
    return body


def _refused(name: str, schema: Mapping[str, Any], words: frozenset[str]) -> str | None:
    if words is _STRICT_WORDS and schema.get("type") != "object":
        return f"Invalid schema for {name}: schema must have type 'object'"
    definitions = schema.get("$defs", {})
    if words is _FORMAT_WORDS and _is_recursive(schema, definitions, ()):
        return f"{name}: recursive schemas are not supported"
    for part in _parts(schema):
        unknown = part.keys() - words
        if unknown:
            return f"{name}: property '{min(unknown)}' is not supported"
        if "$ref" in part and words is _STRICT_WORDS and part.keys() != {"$ref"}:
            return f"Invalid schema for {name}: $ref cannot have keywords {sorted(part.keys() - {'$ref'})}"
        if not part.keys() & {"type", "$ref", "anyOf", "allOf"} and (
            words is _STRICT_WORDS or not part.keys() & {"enum", "const"}
        ):
            return f"Invalid schema for {name}: schema must have a 'type' key"
        if part.get("type") == "object" and part.get("additionalProperties") is not False:
            return f"Invalid schema for {name}: 'additionalProperties' is required to be supplied and to be false"
        if words is _STRICT_WORDS:
            if sorted(part.get("required", ())) != sorted(part.get("properties", ())):
                return f"Invalid schema for {name}: 'required' must include every key in properties"
            if part.get("format", "date") not in _STRICT_FORMATS:
                return f"Invalid schema for {name}: '{part['format']}' is not a valid format"
        elif part.get("minItems", 0) > 1:
            return f"{name}: For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    return _without_items(name, schema)


def _without_items(name: str, schema: Mapping[str, Any]) -> str | None:
    arrays = (part for part in _parts(schema) if part.get("type") == "array")
    return f"Invalid schema for {name}: array schema missing items" if any("items" not in a for a in arrays) else None


def _parts(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and all schemas in it."""
    yield schema
    inside = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    inside += [*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("prefixItems", ())]
    inside += [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]
    for part in inside:
        yield from _parts(part)


def _is_recursive(schema: Mapping[str, Any], definitions: Mapping[str, Any], inside: tuple[str, ...]) -> bool:
    own = {name: value for name, value in schema.items() if name != "$defs"}
    for part in _parts(own):
        name = part.get("$ref", "").removeprefix("#/$defs/")
        if name and (name in inside or _is_recursive(definitions[name], definitions, (*inside, name))):
            return True
    return False
