"""Plans: functions that are compiled once for each message class, as `dataclasses` compiles `__init__`.

Code for all classes loops over the names of the fields. A plan has the names written out, which takes about half the
time of closures that do the same (benchmarks `encode` and `decode`). A plan knows what is common. It leaves everything
else, and all errors, to the code for all classes.
"""

import keyword
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from msgspec import NODEFAULT

from miniagents.errors import NotSendableError
from miniagents.messages.fields import SCALARS, FieldType
from miniagents.messages.frozen import EMPTY, MAX_DEPTH

Flatten: TypeAlias = Callable[[Any, int, bool], list[Any]]
"""Return the names and values of the fields of a message in one list.

The arguments are the message, its depth, and whether the list has the metadata.
"""

Build: TypeAlias = Callable[[list[Any], int], Any]
"""Make a message of the array that stands for it on the wire.

The arguments are the array, with the kind of value, the tag, and then names and values; and the depth of the values.
"""


def flatten_plan(
    head: str, fields: Iterable[tuple[str, FieldType]], tuple_items: str, nested: Callable[[Any, int, bool], Any]
) -> Flatten:
    """Compile the function that puts the fields of a message into a list.

    The function for the fields `number: int` and `tags: tuple[str, ...]`, with the arguments that `encode` gives:

        def flatten(message, depth, with_metadata):
            return [
                2, 'shop:Order',
                'number', v if type(v := message.number) in SCALARS else nested(v, depth + 1, with_metadata),
                'tags', *(([0, *v],)
                if type(v := message.tags) is tuple and depth < 199 and SCALARS.issuperset(map(type, v))
                else (nested(v, depth + 1, with_metadata),)),
                *(('metadata', v if type(v) in SCALARS else nested(v, depth + 1, with_metadata))
                if with_metadata and (v := message.metadata) is not EMPTY and v else ()),
            ]

    Args:
        head: The source of the first items of the list.
        fields: The fields, in the order of the list.
        tuple_items: The source of the items for a tuple `v` of scalars, with a comma at the end.
        nested: Makes the item of any other value. Its arguments are those of the plan, with the depth of the value.

    Returns:
        The function. It raises always if a name is no ASCII identifier.
    """
    fields = list(fields)
    if not _are_identifiers(name for name, _ in fields):
        return _refuse
    other = "nested(v, depth + 1, with_metadata)"
    lines = ["def flatten(message, depth, with_metadata):", "    return [", f"        {head},"]
    for name, field in fields:
        value = f"v := message.{name}"
        if name == "metadata":
            lines += [
                f"        *(('metadata', v if type(v) in SCALARS else {other})",
                f"        if with_metadata and ({value}) is not EMPTY and v else ()),",
            ]
        elif field.items:
            lines += [
                f"        {name!r}, *(({tuple_items})",
                # Deeper tuples may be too deep.
                f"        if type({value}) is tuple and depth < {MAX_DEPTH - 1} and SCALARS.issuperset(map(type, v))",
                f"        else ({other},)),",
            ]
        else:
            lines.append(f"        {name!r}, v if type({value}) in SCALARS else {other},")
    return _compiled([*lines, "    ]"], nested=nested)  # type: ignore[no-any-return]


def build_plan(
    cls: Any,
    fields: dict[str, FieldType],
    read: Callable[[Any, int], object],
    checked: Callable[[type, str, FieldType, object], object],
    by_name: Callable[[type, dict[str, FieldType], list[Any], int], dict[str, Any]],
    tuple_code: int,
) -> Build:
    """Compile the function that makes a message of its array.

    The function for the fields `number: int` and `note: str | None`:

        def build(array, depth):
            if len(array) == 6:
                [_, _, n0, v0, n1, v1] = array
                n2, v2 = 'metadata', EMPTY
            elif len(array) == 8:
                [_, _, n0, v0, n1, v1, n2, v2] = array
            else:
                return cls(**by_name(cls, FIELDS, array[2:], depth))
            if n0 != 'number' or n1 != 'note' or n2 != 'metadata':
                return cls(**by_name(cls, FIELDS, array[2:], depth))
            if type(v0) is not T0: v0 = checked(cls, 'number', F0, read(v0, depth))
            if type(v1) not in T1: v1 = checked(cls, 'note', F1, read(v1, depth))
            if v2 is not EMPTY: v2 = checked(cls, 'metadata', F2, read(v2, depth))
            return cls(v0, v1) if v2 is EMPTY else cls(v0, v1, metadata=v2)

    For a field `tags: tuple[str, ...]` there would be:

            if (type(v3) is list and v3 and type(v3[0]) is int and v3[0] == 0 and depth <= 200
                and I3.issuperset(map(type, items := v3[1:]))): v3 = tuple(items)
            else: v3 = checked(cls, 'tags', F3, read(v3, depth))

    Args:
        cls: The message class.
        fields: The types of its fields.
        read: Makes a value of its data. Called with the depth of the data.
        checked: Returns the value of a field, or raises if the value is not of the field's type.
        by_name: Makes the values of the fields if these are not all there, or in another order. Called with the class,
            its fields, the names and data, and their depth.
        tuple_code: The kind of value that tuples are.

    Returns:
        The function. It calls `by_name` always if a name is no ASCII identifier, or the class has metadata by default.
    """
    names = list(fields)
    defaults = (NODEFAULT,) * (len(names) - len(cls.__struct_defaults__)) + cls.__struct_defaults__
    if not _are_identifiers(names) or defaults[names.index("metadata")] is not EMPTY:
        return lambda array, depth: cls(**by_name(cls, fields, array[2:], depth))
    metadata = names.index("metadata")
    pairs = [f"n{i}, v{i}" for i in range(len(names))]
    bare_pairs = pairs[:metadata] + pairs[metadata + 1 :]
    arguments = [f"v{i}" if name in cls.__match_args__ else f"{name}=v{i}" for i, name in enumerate(names)]
    bare_arguments = arguments[:metadata] + arguments[metadata + 1 :]
    constants: dict[str, object] = {"cls": cls, "read": read, "checked": checked, "by_name": by_name, "FIELDS": fields}
    lines = [
        "def build(array, depth):",
        f"    if len(array) == {2 * len(names)}:",
        f"        [{', '.join(['_, _', *bare_pairs])}] = array",
        f"        n{metadata}, v{metadata} = 'metadata', EMPTY",
        f"    elif len(array) == {2 + 2 * len(names)}:",
        f"        [{', '.join(['_, _', *pairs])}] = array",
        "    else:",
        "        return cls(**by_name(cls, FIELDS, array[2:], depth))",
        f"    if {' or '.join(f'n{i} != {name!r}' for i, name in enumerate(names))}:",
        "        return cls(**by_name(cls, FIELDS, array[2:], depth))",
    ]
    for i, (name, field) in enumerate(fields.items()):
        constants[f"F{i}"] = field
        constants[f"T{i}"], test = (*field.exact, "is not") if len(field.exact) == 1 else (field.exact, "not in")
        constants[f"I{i}"] = field.items
        reads = f"v{i} = checked(cls, {name!r}, F{i}, read(v{i}, depth))"
        if name == "metadata":
            lines.append(f"    if v{i} is not EMPTY: {reads}")
        elif field.items:
            is_tuple = f"type(v{i}[0]) is int and v{i}[0] == {tuple_code} and depth <= {MAX_DEPTH}"
            lines += [
                f"    if (type(v{i}) is list and v{i} and {is_tuple}",
                f"        and I{i}.issuperset(map(type, items := v{i}[1:]))): v{i} = tuple(items)",
                f"    else: {reads}",
            ]
        else:
            lines.append(f"    if type(v{i}) {test} T{i}: {reads}")
    bare, full = ", ".join(bare_arguments), ", ".join(arguments)
    lines.append(f"    return cls({bare}) if v{metadata} is EMPTY else cls({full})")
    return _compiled(lines, **constants)  # type: ignore[no-any-return]


def _refuse(message: object, depth: int, with_metadata: bool) -> list[Any]:
    raise NotSendableError(f"{type(message).__name__}: no plan, since the name of a field is no ASCII identifier")


def _are_identifiers(names: Iterable[str]) -> bool:
    return all(name.isascii() and name.isidentifier() and not keyword.iskeyword(name) for name in names)


def _compiled(lines: list[str], **constants: object) -> Any:
    """Return the function of these lines. Nothing but names of fields and the head, as `repr`, come from outside."""
    namespace: dict[str, Any] = {"SCALARS": SCALARS, "EMPTY": EMPTY, **constants}
    exec("\n".join(lines), namespace)
    return namespace[lines[0].split()[1].partition("(")[0]]
