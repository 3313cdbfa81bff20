"""JSON schemas of Python types, in the form that providers take for tools and structured output."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from miniagents.errors import OutputError
from miniagents.ext.llms.pydantic_types import validated_by_pydantic
from miniagents.ext.llms.strict_schemas import NOTHING_UNFIT, Unfit, closed_form, strict_form
from miniagents.ext.llms.type_schemas import decode_own_types, schema_of


def parameters_schemas(
    parameters: type[msgspec.Struct],
    defaults: Mapping[str, object],
    nullable: Collection[str],
    descriptions: Mapping[str, str],
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the JSON schemas of a tool's parameters; parameters with a default are optional.

    Args:
        parameters: A Struct with a field for each parameter; fields of optional ones have a default.
        defaults: The defaults that JSON can hold, by name; the schemas show them.
        nullable: The optional parameters whose own type does not take null: in strict mode null stands for the default.
        descriptions: The descriptions of parameters, by name; names of no parameter do not matter.

    Returns:
        The plain schema, and the schema for strict mode, in which all parameters are required. The second is None if
        strict mode cannot take it: a dict with free keys, a value of any type, an optional field of a nested type.

    Raises:
        TypeError: msgspec cannot decode a parameter.
    """
    schema, definitions = schema_of(parameters)
    for unused in ("title", "description"):
        schema.pop(unused, None)
    schema = {"type": "object", "properties": {}, "required": [], **schema, "additionalProperties": False}
    nested = [*schema["properties"].values(), *definitions.values()]
    properties: dict[str, Any] = {}
    with_defaults = dict(schema["properties"])
    for name, property_schema in schema["properties"].items():
        plain = {key: value for key, value in property_schema.items() if key != "default"}
        if name in descriptions:
            plain["description"] = descriptions[name]
        with_defaults[name] = {**plain, "default": defaults[name]} if name in defaults else plain
        properties[name] = plain
        if name in defaults:
            note = f"Default: {msgspec.json.encode(defaults[name]).decode()}"
            properties[name] = {**plain, "description": f"{plain.get('description', '')} {note}".strip()}
        if name in nullable:
            properties[name] = _or_null(properties[name])
    plain_schema = {**schema, "properties": with_defaults, **({"$defs": definitions} if definitions else {})}
    if any(map(_has_optional, nested)):
        return plain_schema, None
    closed, unfit = closed_form({**schema, "properties": properties}, definitions)
    return plain_schema, strict_form(closed) if Unfit.FREE not in unfit else None


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that also takes null."""
    inner = {name: value for name, value in schema.items() if name != "description"}
    variants = inner["anyOf"] if set(inner) == {"anyOf"} else [inner]
    description = {"description": schema["description"]} if "description" in schema else {}
    return {"anyOf": [*variants, {"type": "null"}], **description}


def _has_optional(schema: object) -> bool:
    """Return whether an object in a schema has optional properties."""
    if isinstance(schema, list):
        return any(_has_optional(item) for item in schema)
    if not isinstance(schema, dict):
        return False
    properties = schema.get("properties")
    if isinstance(properties, dict) and set(properties) - set(schema.get("required", ())):
        return True
    inside = properties.values() if isinstance(properties, dict) else ()
    return any(map(_has_optional, inside)) or any(
        _has_optional(value) for name, value in schema.items() if name not in ("properties", "default", "enum")
    )


@dataclass(frozen=True, slots=True, eq=False)
class OutputType:
    """A type of structured output.

    Attributes:
        name: The module and the name of the type.
        kind: The type.
        decodes: The type for msgspec: that of pydantic in its place, if pydantic validates it.
        schema: The JSON schema, in which all keys are required. A type that is no object is wrapped into one, under
            "value".
        wrapped: Whether the type is wrapped.
        unfit: The parts of the schema that not every strict mode takes.
    """

    name: str
    kind: object
    decodes: object
    schema: dict[str, Any]
    wrapped: bool
    unfit: Unfit = NOTHING_UNFIT

    @property
    def strict_schema(self) -> dict[str, Any] | None:
        """The JSON schema for OpenAI's strict mode; None if strict mode cannot take it."""
        strict: dict[str, Any] | None = strict_form(self.schema) if Unfit.FREE not in self.unfit else None
        return strict

    @property
    def api_name(self) -> str:
        """A name that all providers take: letters, digits, `_` and `-`."""
        return (
            re.sub(r"[^a-zA-Z0-9_-]+", "_", self.name.rpartition(".")[2].rpartition(":")[2])[-64:].strip("_")
            or "output"
        )

    def decode(self, text: str) -> Any:
        """Decode a text into a value of the type.

        Raises:
            OutputError: The text does not fit the type; the error says where.
        """
        try:
            if not self.wrapped:
                return msgspec.json.decode(text, type=self.decodes, dec_hook=decode_own_types)
            wrapper = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
            if set(wrapper) != {"value"}:
                raise msgspec.ValidationError('Expected an object with the one key "value"')
            return msgspec.json.decode(wrapper["value"], type=self.decodes, dec_hook=decode_own_types)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise OutputError(f"this is no {self.name}: {error}", text=text) from error

    def json(self, text: str) -> bytes:
        """Return the value in a text as JSON in one line, without the object that it may be wrapped into.

        Raises:
            OutputError: See `decode`.
        """
        self.decode(text)
        raw: bytes | msgspec.Raw = text.encode()
        if self.wrapped:
            raw = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])["value"]
        return msgspec.json.format(raw, indent=-1)


_OUTPUT_TYPES: dict[str, OutputType] = {}


def output_type(kind: object) -> OutputType:
    """Return the type of structured output for a Python type. A later type of the same name replaces an earlier one.

    Raises:
        TypeError: msgspec cannot decode the type.
    """
    qualname = getattr(kind, "__qualname__", None) if isinstance(kind, type) else None
    name = f"{kind.__module__}.{qualname}" if qualname else str(kind)
    known = _OUTPUT_TYPES.get(name)
    if known is not None and known.kind == kind:
        return known
    decodes = validated_by_pydantic(kind)
    schema, unfit = closed_form(*schema_of(decodes))
    wrapped = schema.get("type") != "object" or "properties" not in schema
    if wrapped:
        definitions = schema.pop("$defs", None)
        schema = {
            "type": "object",
            "properties": {"value": schema},
            "required": ["value"],
            "additionalProperties": False,
        }
        if definitions:
            schema["$defs"] = definitions
    made = _OUTPUT_TYPES[name] = OutputType(name, kind, decodes, schema, wrapped, unfit)
    return made


def output_type_called(name: str) -> OutputType:
    """Return the type of structured output with a name.

    Raises:
        OutputError: No agent of this process has such an output.
    """
    try:
        return _OUTPUT_TYPES[name]
    except KeyError:
        raise OutputError(
            f"no agent of this process has output={name}; decode the message's content with msgspec.json.decode()"
        ) from None
