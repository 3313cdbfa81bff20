"""Free-form data that cannot change: `FrozenDict`, and the conversion of other data into frozen data."""

import datetime as dt
import enum
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from dataclasses import is_dataclass
from decimal import Decimal
from operator import is_
from types import MappingProxyType
from typing import Any, ClassVar, TypeGuard, TypeVar
from uuid import UUID

import msgspec

from miniagents.errors import NotSendableError, UnencodableError

K = TypeVar("K")
V = TypeVar("V", covariant=True)

MAX_DEPTH = 200
"""Data that are nested deeper are refused, and so are bytes of such data."""


class FrozenDict(Mapping[K, V]):
    """An immutable, hashable mapping. It keeps the order of its keys; `==` ignores the order.

    Args:
        *args: A mapping, or pairs of keys and values, as for `dict`.
        **kwargs: More keys and values.

    Example:
        >>> point = FrozenDict(x=1, y=2)
        >>> point["x"], point | {"y": 3}
        (1, FrozenDict({'x': 1, 'y': 3}))
        >>> point == {"y": 2, "x": 1}
        True
    """

    __slots__ = ("_hash", "_items", "checked_depth")

    _items: dict[Any, Any]
    _hash: int | None
    checked_depth: int
    """The greatest depth at which `freeze` has found the dict deeply immutable, and not nested too deep; otherwise
    -1."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "FrozenDict[Any, Any]":
        """Make a `FrozenDict` of the arguments of `dict`. All empty ones are the same object."""
        return cls.adopt(dict(*args, **kwargs))

    @classmethod
    def adopt(cls, items: dict[Any, Any], checked_depth: int = -1) -> "FrozenDict[Any, Any]":
        """Make a `FrozenDict` of a dict without copying it. Nothing else may have the dict.

        Args:
            items: The dict.
            checked_depth: See the attribute.
        """
        if not items:
            return EMPTY
        self = object.__new__(cls)
        self._items = items
        self._hash = None
        self.checked_depth = checked_depth
        return self

    def __getitem__(self, key: K) -> V:
        return self._items[key]  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    # The views of the dict are in C, those of `Mapping` call `__getitem__` for each key.

    def keys(self) -> KeysView[K]:
        return self._items.keys()

    def values(self) -> ValuesView[V]:
        return self._items.values()

    def items(self) -> ItemsView[K, V]:
        return self._items.items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrozenDict):
            return self._items == other._items
        if isinstance(other, Mapping):
            return self._items == dict(other)
        return NotImplemented

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._items.items()))
        return self._hash

    def __or__(self, other: Mapping[Any, Any]) -> "FrozenDict[Any, Any]":
        return FrozenDict({**self._items, **other})

    def __ror__(self, other: Mapping[Any, Any]) -> "FrozenDict[Any, Any]":
        return FrozenDict({**other, **self._items})

    def __repr__(self) -> str:
        return f"FrozenDict({self._items!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (FrozenDict, (dict(self._items),))


class _EmptyDict(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The `FrozenDict` without keys.

    The class is a Struct with `gc=False`, so that the garbage collector tracks neither it nor a message of scalars that
    has it as metadata (benchmark `tell`: a third of the time in a long burst).
    """

    _items: ClassVar[Mapping[Any, Any]] = MappingProxyType({})
    _hash: ClassVar[int | None] = None

    __getitem__, __iter__, __len__, __contains__ = (
        FrozenDict.__getitem__,
        FrozenDict.__iter__,
        FrozenDict.__len__,
        FrozenDict.__contains__,
    )
    __eq__, __or__, __ror__, __reduce__ = (
        FrozenDict.__eq__,
        FrozenDict.__or__,
        FrozenDict.__ror__,
        FrozenDict.__reduce__,
    )
    get, keys, items, values = FrozenDict.get, FrozenDict.keys, FrozenDict.items, FrozenDict.values

    def __hash__(self) -> int:
        return hash(frozenset())

    def __repr__(self) -> str:
        return "FrozenDict({})"


FrozenDict.register(_EmptyDict)
EMPTY: FrozenDict[str, Any] = _EmptyDict()  # type: ignore[assignment]  # registered, so that isinstance() says yes
"""The empty `FrozenDict`: the metadata of a message without metadata."""


def is_frozen_dict(value: object) -> TypeGuard[FrozenDict[Any, Any]]:
    """Return whether a value is a `FrozenDict`, filled or empty. `isinstance` is slow for the empty one."""
    kind = value.__class__
    return kind is FrozenDict or kind is _EmptyDict


_KEPT = frozenset({bool, float, type(None), dt.datetime, dt.date, dt.time, dt.timedelta, Decimal, UUID, bytes})
TEXTS = frozenset({str})
"""The types of values that are all texts."""


def freeze(value: Any, where: str) -> Any:
    """Return the same data, deeply immutable: lists become tuples, dicts `FrozenDict`s, sets frozensets.

    A tuple or a `FrozenDict` that is deeply immutable already is returned as it is, and not copied.

    Args:
        value: The data.
        where: The name of the data in errors: "metadata".

    Raises:
        NotSendableError: A value in the data cannot be part of a message; the text says which.
        UnencodableError: The wire cannot carry a value in the data.
    """
    if type(value) is tuple and TEXTS.issuperset(map(type, value)) and "".join(value).isascii():
        return value  # the usual value of a field with a tuple
    try:
        return _freeze(value, 0)
    except _Refused as refused:
        raise refused.error(where) from None


class _Refused(Exception):
    """A value cannot be frozen. On its way out, the exception collects the place of the value in the data.

    So the place is built only when a value is refused, and not for each value that is accepted.

    Args:
        kind: The class of the error for users.
        fault: What is wrong with the value.
    """

    def __init__(self, kind: type[NotSendableError | UnencodableError], fault: str) -> None:
        self._kind = kind
        self._fault = fault
        self._before = self._after = ""

    def in_key(self) -> "_Refused":
        """Say that the value is a key of a dict."""
        self._before += "key of "
        return self

    def in_item(self, item: str) -> "_Refused":
        """Say in which item of its container the value is: "[0]"."""
        self._after = item + self._after
        return self

    def error(self, where: str) -> Exception:
        """Return the error for users, with the place of the value in the data of this name."""
        place = f"{self._before}{where}{self._after}"
        if self._fault is _TOO_DEEP:
            place = f"{place[:200]}..."
        return self._kind(f"{place}: {self._fault}")


_TOO_DEEP = f"nested more than {MAX_DEPTH} deep"


def _freeze(value: Any, depth: int) -> Any:
    kind = value.__class__
    if kind is str:
        if not value.isascii() and (fault := _fault_of_str(value)):
            raise _Refused(UnencodableError, fault)
        return value
    if kind in _KEPT:
        return value
    if kind is int:
        if not -(2**63) <= value < 2**64:
            raise _Refused(UnencodableError, _fault_of_int(value))
        return value
    if depth >= MAX_DEPTH:
        raise _Refused(UnencodableError, _TOO_DEEP)
    if kind is dict or (kind is FrozenDict and value.checked_depth < depth):
        return _freeze_mapping(value, depth + 1)
    if kind is FrozenDict or value is EMPTY:
        return value
    if kind is tuple or kind is list:
        return _freeze_sequence(value, depth + 1)
    if isinstance(value, Mapping):
        return _freeze_mapping(value, depth + 1)
    if isinstance(value, (enum.Enum, BaseException)) or getattr(kind, "__miniagents_immutable__", False):
        return value
    if isinstance(value, (set, frozenset, Set)):
        try:
            return frozenset([_freeze(item, depth + 1) for item in value])
        except _Refused as refused:
            raise refused.in_item("{...}") from None
    return _freeze_rare(value, depth)


def _freeze_mapping(value: Mapping[Any, Any], depth: int) -> FrozenDict[Any, Any]:
    items: dict[Any, Any] = {}
    changed = type(value) is not FrozenDict
    for key, item in value.items():
        frozen_key, frozen = key, item
        if type(key) is not str or not key.isascii():
            frozen_key = _freeze_key(key, depth)
        # Most values are such scalars, and a call for each takes longer than the test.
        if not (type(item) is str and item.isascii()) and type(item) not in _KEPT:
            try:
                frozen = _freeze(item, depth)
            except _Refused as refused:
                raise refused.in_item(f"[{key!r}]") from None
        if frozen is not item or frozen_key is not key:
            changed = True
        items[frozen_key] = frozen
    if changed:
        return FrozenDict.adopt(items, depth - 1)
    assert isinstance(value, FrozenDict)  # test_frozen_data_are_returned_as_they_are
    value.checked_depth = depth - 1
    return value


def _freeze_key(key: object, depth: int) -> object:
    if not isinstance(key, (str, int, float, bytes, type(None))):
        raise _Refused(
            NotSendableError,
            f"a key of free-form data is a str, a number, bytes or None, not {type(key).__name__} ({key!r})",
        )
    try:
        return _freeze(key, depth)
    except _Refused as refused:
        raise refused.in_key() from None


def _freeze_sequence(value: Sequence[Any], depth: int) -> tuple[Any, ...]:
    items: list[Any] = []
    try:
        for item in value:
            plain = (type(item) is str and item.isascii()) or type(item) in _KEPT
            items.append(item if plain else _freeze(item, depth))
    except _Refused as refused:
        raise refused.in_item(f"[{len(items)}]") from None
    frozen = tuple(items)
    return value if type(value) is tuple and all(map(is_, frozen, value)) else frozen


def _freeze_rare(value: object, depth: int) -> object:
    for kind, plain in _PLAIN:
        if isinstance(value, kind):
            return _freeze(plain(value), depth)
    if isinstance(value, Sequence) and not isinstance(value, (bytearray, memoryview)):
        return _freeze_sequence(value, depth + 1)
    if is_frozen_record(type(value)):
        return value
    raise _Refused(
        NotSendableError,
        f"a {type(value).__name__} cannot be part of a message ({_short(value)}); messages hold JSON's types, "
        f"bytes, dates and times, Decimal, UUID, Enum, frozenset, FrozenDict and messages",
    )


# Subclasses may carry mutable attributes: only the plain value is kept.
_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__index__),
    (float, float.__float__),
    (bytes, bytes.__bytes__ if hasattr(bytes, "__bytes__") else bytes),
)


def thaw(value: object) -> Any:
    """Return free-form data as plain dicts and lists, which may be changed."""
    if isinstance(value, Mapping):
        return {name: thaw(item) for name, item in value.items()}
    if isinstance(value, (tuple, list, frozenset)):
        return [thaw(item) for item in value]
    return value


def is_frozen_record(kind: type) -> bool:
    """Return whether a class is a frozen `msgspec.Struct` or a frozen dataclass."""
    config = getattr(kind, "__struct_config__", None)
    if isinstance(config, msgspec.structs.StructConfig):
        return config.frozen
    params = getattr(kind, "__dataclass_params__", None)
    return is_dataclass(kind) and params is not None and bool(params.frozen)


def check_str(value: str, where: str) -> None:
    """Refuse lone surrogates: they are no Unicode text, and UTF-8 cannot carry them.

    Raises:
        UnencodableError: The text has a lone surrogate in it.
    """
    if not value.isascii() and (fault := _fault_of_str(value)):
        raise UnencodableError(f"{where}: {fault}")


def check_int(value: int, where: str) -> None:
    """Refuse integers beyond 64 bits.

    Raises:
        UnencodableError: The integer has more bits.
    """
    if not -(2**63) <= value < 2**64:
        raise UnencodableError(f"{where}: {_fault_of_int(value)}")


def _fault_of_str(value: str) -> str:
    """Return what is wrong with a text, or ""."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{_short(value)} has a lone surrogate and is no Unicode text"
    return ""


def _fault_of_int(value: int) -> str:
    return f"an integer of {value.bit_length()} bits; the wire carries 64, use a str"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
