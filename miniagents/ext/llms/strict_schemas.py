"""JSON schemas in the forms that providers take in strict modes, and what those modes do not take."""

from collections.abc import Iterator, Mapping
from enum import Flag, auto
from typing import Any


class Unfit(Flag):
    """The parts of a schema that not every strict mode takes.

    Attributes:
        FREE: Dicts with free keys, and values of any type.
        RECURSIVE: Types that contain themselves.
    """

    FREE = auto()
    RECURSIVE = auto()


NOTHING_UNFIT = Unfit(0)

_DROPPED = ("default", "discriminator", "examples")
_TOLD = frozenset(
    [
        "minLength",
        "maxLength",
        "minProperties",
        "maxProperties",
        "propertyNames",
        "patternProperties",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "unevaluatedItems",
        "unevaluatedProperties",
        "contentEncoding",
        "contentMediaType",
    ]
)
"""Keywords that OpenAI's strict mode refuses. The list is that of pydantic-ai (`OpenAIJsonSchemaTransformer`), with the
encodings."""
_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"])
"""The formats of strings that OpenAI's strict mode takes."""
_NO_TYPE = frozenset({"title", "description", "default", "examples"})


def common_form(schema: Any) -> Any:
    """Return a schema without the forms that only some providers read; it means the same.

    A tuple is an array whose items have one of its types, an array says what its items are, and an enum what type its
    values have.
    """
    if isinstance(schema, list):
        return [common_form(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    done = {
        name: {key: common_form(value) for key, value in inside.items()}
        if name == "properties"
        else common_form(inside)
        for name, inside in schema.items()
        if name not in ("enum", "const", "default", "examples")
    }
    done |= {name: schema[name] for name in ("enum", "const", "default", "examples") if name in schema}
    if done.get("type") == "array":
        places = done.pop("prefixItems", None)
        if places is not None:
            kinds = [place for number, place in enumerate(places) if place not in places[:number]]
            done["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        done.setdefault("items", {})
    values = [schema["const"]] if "const" in schema else schema.get("enum", ())
    if values and "type" not in done:
        kinds = sorted({_type_of(value) for value in values})
        if len(kinds) == 1:
            return {"type": kinds[0], **done}
        notes = {name: done[name] for name in ("title", "description", "default") if name in done}
        return {
            "anyOf": [{"type": kind, "enum": [v for v in values if _type_of(v) == kind]} for kind in kinds],
            **notes,
        }
    return done


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "number", type(None): "null"}
    return names.get(type(value), "object")


def closed_form(schema: dict[str, Any], definitions: Mapping[str, Any]) -> tuple[dict[str, Any], Unfit]:
    """Return a schema whose objects allow no further properties and require all their keys, and what is unfit in it.

    Args:
        schema: The schema, without `$defs`.
        definitions: The definitions that it refers to.
    """
    closed: dict[str, Any] = _closed(schema)
    if definitions:
        closed["$defs"] = {name: _closed(definition) for name, definition in definitions.items()}
    unfit = Unfit.FREE if _is_free(closed) else NOTHING_UNFIT
    return closed, unfit | Unfit.RECURSIVE if _is_recursive(closed.get("$defs", {})) else unfit


def strict_form(closed: Any) -> Any:
    """Return a closed schema with the keywords of OpenAI's strict mode alone: others go into the description, where the
    model may heed them."""
    if isinstance(closed, list):
        return [strict_form(item) for item in closed]
    if not isinstance(closed, dict):
        return closed
    told = {
        name: closed[name] for name in closed if name in _TOLD or (name == "format" and closed[name] not in _FORMATS)
    }
    done = {
        name: {key: strict_form(value) for key, value in inside.items()}
        if name == "properties"
        else strict_form(inside)
        for name, inside in closed.items()
        if name not in told
    }
    if told:
        words = ", ".join(f"{name}: {value}" for name, value in told.items())
        done["description"] = f"{done.get('description', '')} ({words})".strip()
    return done


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema and not {"$ref", *_DROPPED}.issuperset(schema):  # strict modes take no keyword beside it
        schema = {"anyOf": [{"$ref": schema["$ref"]}], **{key: schema[key] for key in schema if key != "$ref"}}
    done = {
        "anyOf" if name == "oneOf" else name: _closed(value)  # strict modes know no oneOf
        for name, value in schema.items()
        if name not in (*_DROPPED, "properties")
    }
    if "properties" in schema:
        # The names of properties are no keywords: a property may be called "default".
        properties = {name: _closed(value) for name, value in schema["properties"].items()}
        done |= {"properties": properties, "required": list(properties), "additionalProperties": False}
    return done


def _is_free(closed: Any) -> bool:
    """Return whether a schema has a dict with free keys, or a value of any type."""
    if isinstance(closed, list):
        return any(map(_is_free, closed))
    if not isinstance(closed, dict):
        return False
    if not closed.keys() - _NO_TYPE or (closed.get("type") == "object" and "properties" not in closed):
        return True
    named = (*closed.get("properties", {}).values(), *closed.get("$defs", {}).values())
    return any(map(_is_free, named)) or any(
        _is_free(closed[name]) for name in ("anyOf", "allOf", "items") if name in closed
    )


def _is_recursive(definitions: Mapping[str, Any]) -> bool:
    """Return whether a definition leads back to itself."""
    references = {name: frozenset(_references(definition)) for name, definition in definitions.items()}
    for name in definitions:
        reached, waiting = set[str](), [*references[name]]
        while waiting:
            target = waiting.pop()
            if target == name:
                return True
            if target not in reached:
                reached.add(target)
                waiting += references.get(target, ())
    return False


def _references(schema: Any) -> Iterator[str]:
    """Yield the names of the definitions that a schema refers to."""
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    elif isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix("#/$defs/")
        for inside in schema.values():
            yield from _references(inside)
