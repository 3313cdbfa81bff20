"""The JSON schema of a Python type, and the decoder of the types that msgspec does not know."""

import functools
import operator
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

import msgspec

from miniagents.ext.llms.documentation import annotated_description
from miniagents.ext.llms.pydantic_types import decoded_by_pydantic, schema_by_pydantic
from miniagents.ext.llms.strict_schemas import common_form
from miniagents.messages import FrozenDict, Message
from miniagents.messages.frozen import freeze


def schema_of(kind: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the JSON schema of a type, and the definitions that it refers to.

    A `$ref` at the root is inlined. The fields of classes have the descriptions in their annotations. All providers can
    read the schema, see `common_form`.

    Args:
        kind: Any type that msgspec can decode, with models of pydantic in it.

    Returns:
        The schema without `$defs`, and the definitions, by name.

    Raises:
        TypeError: The type has no JSON schema. The text names the fields that have none.
    """
    definitions: dict[str, Any] = {}
    told = _without_metadata(kind)
    classes: dict[Any, dict[str, str]] = {}
    _collect_classes(told, classes)
    try:
        (made, *references), components = _components((told, *classes))
    except TypeError as error:
        raise TypeError(f"{''.join(_fields_without_schema(classes))}{error}") from error
    for reference, fields in zip(references, classes.values(), strict=True):
        properties = components[reference["$ref"].removeprefix("#/$defs/")].get("properties", {})
        for name, description in fields.items():
            if name in properties:
                properties[name].setdefault("description", description)
    _hoisted({"$defs": components}, definitions)
    schema: dict[str, Any] = _hoisted(made, definitions)
    if set(schema) == {"$ref"}:
        name = schema["$ref"].removeprefix("#/$defs/")
        root = definitions[name]
        refers_to_itself = f'"#/$defs/{name}"' in msgspec.json.encode(definitions).decode()
        if not refers_to_itself:
            del definitions[name]
        schema = dict(root)
    return common_form(schema), {name: common_form(definition) for name, definition in definitions.items()}


def _components(kinds: Iterable[Any]) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    return msgspec.json.schema_components(kinds, schema_hook=_schema_of_own_types)


def _fields_without_schema(classes: Iterable[Any]) -> Iterator[str]:
    for kind in classes:
        described = typing.get_origin(kind) or kind
        for name, hint in typing.get_type_hints(described, include_extras=True).items():
            try:
                _components((hint,))
            except TypeError:
                if not _has_fields(hint):  # its own fields are named
                    yield f"{described.__qualname__}.{name}: "


def _collect_classes(kind: Any, classes: dict[Any, dict[str, str]]) -> None:
    """Collect the classes with fields that a type contains, each with the descriptions in its annotations, by name."""
    described = typing.get_origin(kind) or kind
    if _has_fields(described) and kind not in classes:  # in this order: metadata in Annotated may have no hash
        hints = typing.get_type_hints(described, include_extras=True)
        names = {name: name for name in hints}
        if issubclass(described, msgspec.Struct):
            names = {field.name: field.encode_name for field in msgspec.structs.fields(described)}
        texts = {encoded: annotated_description(hints[name]) for name, encoded in names.items()}
        classes[kind] = {name: text for name, text in texts.items() if text is not None}
        for hint in hints.values():
            _collect_classes(hint, classes)
    for argument in typing.get_args(kind):
        _collect_classes(argument, classes)


def _has_fields(kind: Any) -> bool:
    """Return whether msgspec makes a definition of a type: a Struct, a dataclass, a TypedDict, or a class of attrs."""
    return isinstance(kind, type) and (
        issubclass(kind, msgspec.Struct)
        or is_dataclass(kind)
        or typing.is_typeddict(kind)
        or hasattr(kind, "__attrs_attrs__")
    )


def _hoisted(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema without `$defs`, which go to `definitions`: those of pydantic's types stand deep inside."""
    if isinstance(schema, list):
        return [_hoisted(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    own = schema.get("$defs", {})
    places = {}
    for name, definition in own.items():
        free, number = name, 2
        while definitions.get(free, definition) != definition:
            free, number = f"{name}_{number}", number + 1
        definitions[free] = definition
        places[name] = free
    renamed = {f"#/$defs/{name}": f"#/$defs/{free}" for name, free in places.items() if free != name}
    for free in places.values():
        definitions[free] = _hoisted(_with_references(definitions[free], renamed), definitions)
    rest = {key: value for key, value in schema.items() if key != "$defs"}
    return {key: _hoisted(value, definitions) for key, value in _with_references(rest, renamed).items()}


def _with_references(schema: Any, renamed: Mapping[str, str]) -> Any:
    """Return a schema with other references, those of a discriminator's mapping included."""
    if not renamed:
        return schema
    if isinstance(schema, list):
        return [_with_references(item, renamed) for item in schema]
    if isinstance(schema, dict):
        return {key: _with_references(value, renamed) for key, value in schema.items()}
    return renamed.get(schema, schema) if isinstance(schema, str) else schema


def _schema_of_own_types(kind: type) -> dict[str, Any]:
    if FrozenDict in (kind, typing.get_origin(kind)):
        return {"type": "object", "title": FrozenDict.__name__}
    schema = schema_by_pydantic(kind)
    if schema is None:
        raise NotImplementedError
    return schema


def decode_own_types(kind: type, value: Any) -> object:
    """Decode the types of this package and of pydantic: the `dec_hook` for values of these schemas."""
    if FrozenDict in (kind, typing.get_origin(kind)):
        return freeze(value, "output")
    return decoded_by_pydantic(kind, value)


def _without_metadata(kind: Any, inside: tuple[type, ...] = ()) -> Any:
    """Return the same type without the metadata of messages, which no model is told of."""
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
