"""JSON schemas of Python types, in the form that providers take for tools and structured output."""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from miniagents.errors import OutputError

_NOT_STRICT = ("default", "discriminator", "examples")


def strict_schema(kind: Any) -> tuple[dict[str, Any], bool]:
    """The schema of a type as providers take it in strict mode.

    A `$ref` at the root is inlined, objects allow no further properties, and all their keys are required.

    Args:
        kind: Any type that msgspec can decode.

    Returns:
        The schema, and whether strict mode can take it: dicts with free keys it cannot.

    Raises:
        TypeError: msgspec cannot decode this type.
    """
    schema = msgspec.json.schema(kind)
    definitions = schema.pop("$defs", None) or {}
    if set(schema) == {"$ref"}:
        name = schema["$ref"].removeprefix("#/$defs/")
        root = definitions[name]
        refers_to_itself = f'"#/$defs/{name}"' in msgspec.json.encode(definitions).decode()
        if not refers_to_itself:
            del definitions[name]
        schema = dict(root)
    strict = _Strict()
    schema = strict.made(schema)
    if definitions:
        schema["$defs"] = {name: strict.made(one) for name, one in definitions.items()}
    return schema, strict.possible


class _Strict:
    def __init__(self) -> None:
        self.possible = True

    def made(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self.made(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        done = {name: self.made(value) for name, value in schema.items() if name not in (*_NOT_STRICT, "properties")}
        if schema.get("type") == "object":
            if "properties" in schema:
                # Names of properties are no keywords: one may well be called "default".
                done["properties"] = {name: self.made(value) for name, value in schema["properties"].items()}
                done["required"] = list(schema["properties"])
                done["additionalProperties"] = False
            elif "additionalProperties" in schema:
                self.possible = False  # a dict with free keys
            else:
                done |= {"properties": {}, "required": [], "additionalProperties": False}
        return done


@dataclass(frozen=True, slots=True, eq=False)
class OutputType:
    """A type of structured output.

    Attributes:
        name: What it is called: module and name.
        kind: The type.
        schema: Its JSON schema; a type that is no object is wrapped into one, under "value".
        wrapped: Whether it is.
        strict: Whether strict mode can take it.
    """

    name: str
    kind: Any
    schema: dict[str, Any]
    wrapped: bool
    strict: bool

    @property
    def api_name(self) -> str:
        """A name that providers take: letters, digits, `_` and `-`."""
        return (
            re.sub(r"[^a-zA-Z0-9_-]+", "_", self.name.rpartition(".")[2].rpartition(":")[2])[-64:].strip("_")
            or "output"
        )

    def decode(self, text: str) -> Any:
        """The value that a text describes.

        Raises:
            OutputError: It describes none of this type; the text says where it is wrong.
        """
        try:
            if not self.wrapped:
                return msgspec.json.decode(text, type=self.kind)
            wrapper = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
            if set(wrapper) != {"value"}:
                raise msgspec.ValidationError('Expected an object with the one key "value"')
            return msgspec.json.decode(wrapper["value"], type=self.kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise OutputError(f"this is no {self.name}: {error}", text=text) from error


_OUTPUT_TYPES: dict[str, OutputType] = {}


def output_type(kind: Any) -> OutputType:
    """The type of structured output that stands for a Python type; a redefinition replaces.

    Raises:
        TypeError: msgspec cannot decode this type.
    """
    qualname = getattr(kind, "__qualname__", None) if isinstance(kind, type) else None
    name = f"{kind.__module__}.{qualname}" if qualname else str(kind)
    known = _OUTPUT_TYPES.get(name)
    if known is not None and known.kind is kind:
        return known
    schema, strict = strict_schema(kind)
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
    made = _OUTPUT_TYPES[name] = OutputType(name, kind, schema, wrapped, strict)
    return made


def output_type_called(name: str) -> OutputType:
    """The type of that name.

    Raises:
        OutputError: No agent of this process has such an output.
    """
    try:
        return _OUTPUT_TYPES[name]
    except KeyError:
        raise OutputError(
            f"no agent of this process has output={name}; decode the message's content with msgspec.json.decode()"
        ) from None
