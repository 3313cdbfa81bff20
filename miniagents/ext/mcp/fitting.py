"""Names and schemas of a server's tools, made fit for the APIs of models, so that the way back is known.

APIs take names of letters, digits, `_` and `-`, and an object with properties as the schema of the arguments. Servers
are free to send names with dots and slashes, and schemas that are unions.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_NAME = 64
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_NOT_IN_PROPERTIES = re.compile(r"[^a-zA-Z0-9_.-]")
_HASH = 8
_UNIONS = ("anyOf", "oneOf")
_NEVER = frozenset({"$schema", "$id", "$anchor", "$comment", "allOf", *_UNIONS})
_DEPTH = 64


class UnfitSchemaError(ValueError):
    """A schema that no API takes, and that has no equivalent which one takes."""


@dataclass(frozen=True, slots=True)
class FitSchema:
    """A schema that APIs take.

    Attributes:
        schema: The schema: an object with properties.
        renamed: The server's names of the properties that have another name in `schema`.
    """

    schema: Mapping[str, Any]
    renamed: Mapping[str, str]

    def arguments(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a model under the names that the server knows."""
        return {self.renamed.get(name, name): value for name, value in arguments.items()}


def fit_names(names: Iterable[str], prefix: str = "") -> dict[str, str]:
    """Choose the names that models are told.

    A name that fits already is not changed. In others, characters that APIs do not take become `_`. A name that is too
    long, or that another one has, ends in a hash of the server's name instead of a number, so that it does not depend
    on the order of the tools.

    Args:
        names: The server's names, each of them once.
        prefix: Stands before each of the names.

    Returns:
        The names for models, by the server's names, in the same order.

    Example:
        >>> fit_names(["read", "files.read", "files/read"], prefix="fs_")["read"]
        'fs_read'
    """
    names = list(names)
    fit = {name: _fit(prefix + name, LONGEST_NAME, _NOT_IN_NAMES) for name in names}
    unchanged = {prefix + name for name in names}
    taken = {name for name in fit.values() if name in unchanged}
    counts: dict[str, int] = {}
    for name in fit.values():
        counts[name] = counts.get(name, 0) + 1
    for name, chosen in fit.items():
        if chosen != prefix + name and (chosen in taken or counts[chosen] > 1):
            fit[name] = _hashed(prefix + name, LONGEST_NAME, _NOT_IN_NAMES)
    return fit


def fit_schema(schema: Mapping[str, Any]) -> FitSchema:
    """Make the schema of a tool's arguments fit.

    A union of objects becomes one object with the properties of all; what all of them require is required. The server
    checks the arguments, so that a schema which allows more than the server does no harm.

    Args:
        schema: The server's schema.

    Raises:
        UnfitSchemaError: The schema is not that of an object, or refers to something outside of itself.
    """
    _check_references(schema, 0)
    whole = _object(schema, schema, 0)
    properties: dict[str, Any] = {}
    renamed: dict[str, str] = {}
    for name, kind in whole["properties"].items():
        fit = _fit(name, LONGEST_NAME, _NOT_IN_PROPERTIES)
        if fit != name:
            if fit in whole["properties"] or fit in renamed:
                fit = _hashed(name, LONGEST_NAME, _NOT_IN_PROPERTIES)
            renamed[fit] = name
        properties[fit] = {} if kind is True else kind
    whole["properties"] = properties
    back = {name: fit for fit, name in renamed.items()}
    whole["required"] = [back.get(name, name) for name in whole["required"]]
    if not whole["required"]:
        del whole["required"]
    return FitSchema(whole, renamed)


def _object(schema: Any, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """Return a schema as that of one object, with `properties` and `required`."""
    if depth > _DEPTH:
        raise UnfitSchemaError("it refers to itself without an end")
    if not isinstance(schema, Mapping):
        raise UnfitSchemaError(f"it is {schema!r}, and not the schema of an object")
    reference = schema.get("$ref")
    if reference is not None:
        target = _object(_referred(reference, root), root, depth + 1)
        schema = {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
    if schema.get("type", "object") not in ("object", ["object"]):
        raise UnfitSchemaError(f"it is the schema of {schema['type']!r}, and not of an object")
    whole = {name: value for name, value in schema.items() if name not in _NEVER}
    whole["type"] = "object"
    whole["properties"] = properties = dict(schema.get("properties") or {})
    required = list(schema.get("required") or ())
    for part in schema.get("allOf", ()):
        other = _object(part, root, depth + 1)
        properties |= {name: kind for name, kind in other["properties"].items() if name not in properties}
        required += other["required"]
    for union in _UNIONS:
        branches = [_object(part, root, depth + 1) for part in schema.get(union, ())]
        for branch in branches:
            properties |= {name: kind for name, kind in branch["properties"].items() if name not in properties}
        if branches:
            always = set.intersection(*(set(branch["required"]) for branch in branches))
            required += [name for name in branches[0]["required"] if name in always]
    whole["required"] = list(dict.fromkeys(required))
    return whole


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    place: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if key:
            if not isinstance(place, Mapping) or key not in place:
                raise UnfitSchemaError(f"its reference {reference!r} leads nowhere")
            place = place[key]
    return place


def _check_references(value: Any, depth: int) -> None:
    """Refuse references to other documents, which no API follows."""
    if depth > _DEPTH:
        raise UnfitSchemaError(f"it is nested more than {_DEPTH} deep")
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise UnfitSchemaError(f"it refers to another document, {reference!r}")
        for item in value.values():
            _check_references(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_references(item, depth + 1)


def _fit(name: str, longest: int, unfit: "re.Pattern[str]") -> str:
    return unfit.sub("_", name or "_") if len(name) <= longest else _hashed(name, longest, unfit)


def _hashed(name: str, longest: int, unfit: "re.Pattern[str]") -> str:
    ending = "_" + hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH]
    return unfit.sub("_", name)[: longest - len(ending)] + ending


def order_kept(known: Collection[str], names: Iterable[str]) -> list[str]:
    """Return names in a stable order: those that were known, as they were, and then the new ones.

    Example:
        >>> order_kept(["b", "a", "gone"], ["a", "b", "new"])
        ['b', 'a', 'new']
    """
    names, old = dict.fromkeys(names), set(known)
    return [*(name for name in known if name in names), *(name for name in names if name not in old)]
