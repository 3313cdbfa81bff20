"""The types that fields of messages may have: an allow-list, checked when the class is made."""

import collections
import datetime as dt
import enum
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import fields as dataclass_fields
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from miniagents.errors import MutableFieldError
from miniagents.messages.frozen import FrozenDict, is_frozen_dict, is_frozen_record

Matches = Callable[[Any], bool]

_SCALARS: dict[Any, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int,),
    float: (float, int),
    bytes: (bytes,),
    type(None): (type(None),),
    None: (type(None),),
    dt.datetime: (dt.datetime,),
    dt.date: (dt.date,),
    dt.time: (dt.time,),
    dt.timedelta: (dt.timedelta,),
    Decimal: (Decimal,),
    UUID: (UUID,),
}
SCALARS: frozenset[type] = frozenset({str, int, float, bool, bytes, type(None)})
"""The types whose values stand for themselves on the wire. Values of their subclasses do not."""

_INSTEAD: dict[Any, str] = {
    list: "tuple[X, ...]",
    collections.deque: "tuple[X, ...]",
    dict: "FrozenDict",
    collections.defaultdict: "FrozenDict",
    collections.OrderedDict: "FrozenDict",
    set: "frozenset[X]",
    bytearray: "bytes",
    memoryview: "bytes",
}


class FieldType:
    """The type of one field.

    Attributes:
        converts: A value must be frozen at construction.
        matches: Tells whether a value is of the type, for values that come from the wire.
        kinds: The enums and frozen records in the type, which the codec must know.
        exact: The scalar types all of whose values match. Other values may match, too.
        items: Of a type of tuples, the scalar types all of whose values match as items; otherwise None.
    """

    __slots__ = ("converts", "exact", "items", "kinds", "matches")

    def __init__(
        self,
        matches: Matches,
        *,
        converts: bool = False,
        kinds: tuple[type, ...] = (),
        exact: Iterable[type] = (),
        items: frozenset[type] | None = None,
    ) -> None:
        self.matches = matches
        self.converts = converts
        self.kinds = kinds
        self.exact = frozenset(exact)
        self.items = items


def _anything(_: object) -> bool:
    return True


def field_type(tp: Any, where: str) -> FieldType:
    """Look a type up in the allow-list.

    Args:
        tp: The type, with its forward references resolved.
        where: The class and field, for the error.

    Raises:
        MutableFieldError: The type is not known to be immutable.
    """
    if tp is Any or tp is object or isinstance(tp, typing.TypeVar):
        return FieldType(_anything, converts=True, exact=SCALARS)
    try:
        scalar = _SCALARS.get(tp)
    except TypeError:
        scalar = None
    if scalar is not None:
        if tp is int or tp is float:  # a bool is no number here, though Python says so
            return FieldType(lambda v: isinstance(v, scalar) and v.__class__ is not bool, exact=scalar)
        return FieldType(lambda v: isinstance(v, scalar), exact=SCALARS.intersection(scalar))
    origin = typing.get_origin(tp)
    args = typing.get_args(tp)
    if origin is typing.Annotated:
        return field_type(args[0], where)
    if origin is typing.Literal:
        return FieldType(lambda v: any(v == a and type(v) is type(a) for a in args))
    if origin is typing.Union or origin is types.UnionType:
        return _any_of([field_type(a, where) for a in args])
    if isinstance(tp, typing.NewType):
        return field_type(tp.__supertype__, where)
    if hasattr(tp, "__value__"):  # `type X = ...` of Python 3.12
        return field_type(tp.__value__, where)
    kind = origin if origin is not None else tp
    if kind is tuple:
        return _tuple(args, where)
    if kind in (frozenset, Set):
        inner = field_type(args[0], where) if args else FieldType(_anything)
        return FieldType(
            lambda v: isinstance(v, frozenset) and all(inner.matches(i) for i in v), converts=True, kinds=inner.kinds
        )
    if kind is Sequence:
        return _tuple((args[0], ...) if args else (), where)
    if kind in (FrozenDict, Mapping):
        return _mapping(args, where)
    if isinstance(kind, type):
        return _class(kind, where)
    raise MutableFieldError(f"{where}: {_name(tp)} is not known to be immutable; see the types that messages may hold")


def _class(kind: type, where: str) -> FieldType:
    if kind in _INSTEAD:
        raise MutableFieldError(f"{where}: {kind.__name__} is mutable; use {_INSTEAD[kind]}")
    if issubclass(kind, enum.Enum):
        return FieldType(lambda v: isinstance(v, kind), kinds=(kind,))
    if getattr(kind, "__miniagents_immutable__", False):
        return FieldType(lambda v: isinstance(v, kind))
    if is_frozen_record(kind):
        _check_record(kind, where)
        return FieldType(lambda v: isinstance(v, kind), kinds=(kind,))
    if hasattr(kind, "__dataclass_params__") or hasattr(kind, "__struct_config__"):
        raise MutableFieldError(f"{where}: {kind.__name__} is mutable; make it frozen=True, or a Message")
    for mutable, instead in _INSTEAD.items():
        if issubclass(kind, mutable):
            raise MutableFieldError(f"{where}: {kind.__name__} is a {mutable.__name__}, and mutable; use {instead}")
    raise MutableFieldError(
        f"{where}: {kind.__name__} is not known to be immutable; use a Message, or a frozen dataclass or Struct"
    )


def record_fields(kind: type[Any]) -> tuple[str, ...]:
    """Return the names of the fields of a frozen `msgspec.Struct` or dataclass."""
    if issubclass(kind, msgspec.Struct):
        return tuple(kind.__struct_fields__)
    return tuple(field.name for field in dataclass_fields(kind))


def _check_record(kind: type, where: str) -> None:
    hints = typing.get_type_hints(kind)
    for name in record_fields(kind):
        if hints[name] is not kind and kind not in typing.get_args(hints[name]):  # of its own type
            inner = field_type(hints[name], f"{where} ({kind.__name__}.{name})")
            if inner.converts and hints[name] in (Any, object, Sequence, Mapping):
                raise MutableFieldError(f"{where}: {kind.__name__}.{name} may hold anything; give it an immutable type")


def _tuple(args: tuple[Any, ...], where: str) -> FieldType:
    if not args:
        return FieldType(lambda v: isinstance(v, tuple), converts=True, items=SCALARS)
    if len(args) == 2 and args[1] is ...:
        inner = field_type(args[0], where)
        return FieldType(
            lambda v: isinstance(v, tuple) and _all_match(v, inner),
            converts=True,
            kinds=inner.kinds,
            items=inner.exact,
        )
    inners = [field_type(a, where) for a in args if a != ()]
    return FieldType(
        lambda v: (
            isinstance(v, tuple)
            and len(v) == len(inners)
            and all(inner.matches(i) for inner, i in zip(inners, v, strict=True))
        ),
        converts=True,
        kinds=tuple(k for inner in inners for k in inner.kinds),
    )


def _mapping(args: tuple[Any, ...], where: str) -> FieldType:
    if not args:
        return FieldType(is_frozen_dict, converts=True)
    key, value = field_type(args[0], where), field_type(args[1], where)
    return FieldType(
        lambda v: is_frozen_dict(v) and _all_match(v.keys(), key) and _all_match(v.values(), value),
        converts=True,
        kinds=key.kinds + value.kinds,
    )


def _all_match(values: Iterable[Any], field: FieldType) -> bool:
    # `all` over a generator takes several times as long.
    if field.matches is _anything or field.exact.issuperset(map(type, values)):
        return True
    return all([field.matches(value) for value in values])


def _any_of(arms: list[FieldType]) -> FieldType:
    return FieldType(
        lambda v: any(arm.matches(v) for arm in arms),
        converts=any(arm.converts for arm in arms),
        exact=[kind for arm in arms for kind in arm.exact],
        kinds=tuple(k for arm in arms for k in arm.kinds),
    )


def is_class_var(tp: object) -> bool:
    """Return whether an annotation is `ClassVar`, and so is not of a field."""
    return tp is ClassVar or typing.get_origin(tp) is ClassVar


def _name(tp: object) -> str:
    return getattr(tp, "__name__", None) or repr(tp)
