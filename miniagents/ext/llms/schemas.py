"""JSON schemas of Python types, in the form that providers take for tools and structured output."""

import functools
import operator
import re
import types
import typing
from dataclasses import dataclass
from typing import Any

import msgspec

from miniagents.errors import OutputError
from miniagents.messages import FrozenDict, Message
from miniagents.messages.frozen import freeze

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
    schema = msgspec.json.schema(_without_metadata(kind), schema_hook=_schema_of_own_types)
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


_FREE_FORM = "FrozenDict"


def _schema_of_own_types(kind: type) -> dict[str, Any]:
    if kind is FrozenDict:
        return {"type": "object", "title": _FREE_FORM}
    raise NotImplementedError


def _decode_own_types(kind: type, value: Any) -> Any:
    return freeze(value, "output") if kind is FrozenDict else value


def _without_metadata(kind: Any, inside: tuple[type, ...] = ()) -> Any:
    """The same type for a schema: messages have metadata, which is no business of a model."""
    if isinstance(kind, type) and issubclass(kind, Message):
        if kind in inside:
            raise TypeError(f"{kind.__qualname__} contains itself: make it a msgspec.Struct")
        hints = typing.get_type_hints(kind, include_extras=True)
        fields = [
            (field.encode_name, _without_metadata(hints[field.name], (*inside, kind)))
            for field in msgspec.structs.fields(kind)
            if field.name != "metadata"
        ]
        return msgspec.defstruct(kind.__name__, fields, module=kind.__module__, namespace={"__doc__": kind.__doc__})
    arguments = typing.get_args(kind)
    if not arguments or typing.get_origin(kind) is typing.Literal:
        return kind
    made = [_without_metadata(argument, inside) for argument in arguments]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return functools.reduce(operator.or_, made)
    if typing.get_origin(kind) is typing.Annotated:
        return typing.Annotated[(made[0], *kind.__metadata__)]
    return typing.get_origin(kind)[tuple(made)] if made != list(arguments) else kind


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
                properties = {name: self.made(value) for name, value in schema["properties"].items()}
                done["properties"] = properties
                done["required"] = list(properties)
                done["additionalProperties"] = False
            elif "additionalProperties" in schema or schema.get("title") == _FREE_FORM:
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
                return msgspec.json.decode(text, type=self.kind, dec_hook=_decode_own_types)
            wrapper = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
            if set(wrapper) != {"value"}:
                raise msgspec.ValidationError('Expected an object with the one key "value"')
            return msgspec.json.decode(wrapper["value"], type=self.kind, dec_hook=_decode_own_types)
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
