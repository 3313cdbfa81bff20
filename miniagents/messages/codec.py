"""The codec: values of messages as plain data that msgpack can encode, and back.

Scalars stand for themselves. Every other value is an array that begins with a code for its kind, which tells a tuple
from a frozenset, and a message from a dict with the same keys. A class is looked up by its tag among the classes that
are defined in this process. No data make a module be imported.
"""

import builtins
import datetime as dt
import enum
import traceback
import typing
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from miniagents import errors
from miniagents.errors import DecodeError, NotSendableError, RemoteError, UnencodableError
from miniagents.log import log as _log
from miniagents.messages import registry
from miniagents.messages.fields import SCALARS, FieldType, field_type, record_fields
from miniagents.messages.frozen import MAX_DEPTH, FrozenDict, check_int, check_str, is_frozen_dict, is_frozen_record
from miniagents.messages.meta import AnyMessage, is_message
from miniagents.messages.plans import Build, build_plan

(
    TUPLE,
    DICT,
    MESSAGE,
    FROZENSET,
    DATETIME,
    DATE,
    TIME,
    TIMEDELTA,
    DECIMAL,
    UUID_,
    EXCEPTION,
    WIRE_TYPE,
    ENUM,
    RECORD,
) = range(14)

Wire: TypeAlias = "bool | int | float | str | bytes | list[Wire] | None"
"""Plain data."""

_warned: set[str] = set()
_records: dict[type, dict[str, FieldType]] = {}


def to_wire(value: object, where: str, depth: int) -> Wire:
    """Return plain data for a value of a message.

    Args:
        value: The value.
        where: The name of the value in errors: "Order.number".
        depth: How deep the value is nested already.

    Raises:
        NotSendableError: The value cannot travel.
        UnencodableError: The wire cannot carry the value.
    """
    if type(value) is str:
        check_str(value, where)
        return value
    if type(value) is int:
        check_int(value, where)
        return value
    if type(value) is bool or type(value) is float or type(value) is bytes or value is None:
        return value
    if depth > MAX_DEPTH:
        raise UnencodableError(f"{where[:200]}...: nested more than {MAX_DEPTH} deep")
    if is_message(value):
        return _message_to_wire(value, where, depth)
    if type(value) is tuple:
        return [TUPLE, *[to_wire(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]]
    if is_frozen_dict(value):
        flat: list[Wire] = [DICT]
        for key, item in value.items():
            flat += (to_wire(key, where, depth + 1), to_wire(item, f"{where}[{key!r}]", depth + 1))
        return flat
    if type(value) is frozenset:
        return [FROZENSET, *[to_wire(item, where, depth + 1) for item in value]]
    return _rare_to_wire(value, where, depth)


def _message_to_wire(message: AnyMessage, where: str, depth: int) -> Wire:
    cls = type(message)
    warn_of_main(cls)
    flat: list[Wire] = [MESSAGE, cls.__wire_tag__]
    for name in cls.__struct_fields__:
        value = getattr(message, name)
        if name != "metadata" or value:
            flat += (name, to_wire(value, f"{where}.{name}", depth + 1))
    return flat


def warn_of_main(cls: type[AnyMessage]) -> None:
    """Log once that no other program can decode messages of a class of `__main__`."""
    tag = cls.__wire_tag__
    if cls.__module__ == "__main__" and tag.startswith("__main__:") and tag not in _warned:
        _warned.add(tag)
        _log.warning(
            "message.main_class_encoded",
            hint="no other program can decode a class of __main__: move it into a module, or give it a tag",
            message_class=cls.__qualname__,
        )


def _rare_to_wire(value: object, where: str, depth: int) -> Wire:
    if isinstance(value, enum.Enum):
        return [ENUM, registry.default_tag(type(value)), value.name]
    if isinstance(value, dt.datetime):
        return [DATETIME, value.isoformat()]
    if isinstance(value, dt.date):
        return [DATE, value.isoformat()]
    if isinstance(value, dt.time):
        return [TIME, value.isoformat()]
    if isinstance(value, dt.timedelta):
        return [TIMEDELTA, value.days, value.seconds, value.microseconds]
    if isinstance(value, Decimal):
        return [DECIMAL, str(value)]
    if isinstance(value, UUID):
        return [UUID_, value.bytes]
    if isinstance(value, BaseException):
        return _exception_to_wire(value)
    wire_type = registry.wire_type_of(value)
    if wire_type is not None:
        return [WIRE_TYPE, wire_type.tag, to_wire(wire_type.to_wire(value), where, depth + 1)]
    kind = type(value)
    if is_frozen_record(kind):
        flat: list[Wire] = [RECORD, registry.default_tag(kind)]
        for name in _record_fields(kind):
            flat += (name, to_wire(getattr(value, name), f"{where}.{name}", depth + 1))
        return flat
    plains: tuple[type[Any], ...] = (str, int, float, bytes)
    for plain in plains:  # a typed scalar field may hold a subclass
        if isinstance(value, plain):
            return to_wire(plain(value), where, depth)
    raise NotSendableError(f"{where}: a {kind.__name__} cannot travel ({value!r})")


def _exception_to_wire(error: BaseException) -> Wire:
    if isinstance(error, RemoteError):
        name, text, trace = error.type_name, str(error), error.remote_traceback
    else:
        name = registry.default_tag(type(error))
        # The text of a KeyError is the repr of its key.
        text = error.args[0] if error.args and type(error.args[0]) is str and len(error.args) == 1 else str(error)
        trace = "".join(traceback.format_exception(error))
    return [EXCEPTION, *(part.encode(errors="replace").decode() for part in (name, text, trace))]


def _exception_from_wire(name: str, text: str, trace: str) -> BaseException:
    module, _, qualname = name.partition(":")
    cls = getattr({"builtins": builtins, "miniagents": errors}.get(module), qualname, None) or errors.registered(name)
    if isinstance(cls, type) and issubclass(cls, Exception) and cls is not RemoteError:
        try:
            return cls(text)
        except Exception:  # a class that takes other arguments (UnicodeDecodeError) travels as a RemoteError
            pass
    return RemoteError(text, type_name=name, remote_traceback=trace)


def from_wire(value: object, depth: int) -> object:
    """Return the value that `to_wire` has made this plain data of.

    Args:
        value: The data.
        depth: How deep the data are nested already.

    Raises:
        DecodeError: The data are not those of a value.
    """
    if type(value) in SCALARS:
        return value
    if depth > MAX_DEPTH:
        raise DecodeError(f"nested more than {MAX_DEPTH} deep")
    if type(value) is not list or not value or type(value[0]) is not int:
        raise DecodeError(f"a {type(value).__name__} where a value should be")
    code = value[0]
    if code == MESSAGE:
        return _build_plan_of(value[1])(value, depth + 1)
    rest = value[1:]
    if code == TUPLE:
        return tuple(_items_from_wire(rest, depth + 1))
    decoder = _DECODERS.get(code)
    if decoder is None:
        raise DecodeError(f"an unknown kind of value: {code!r}")
    return decoder(rest, depth + 1)


def _dict_from_wire(rest: list[Any], depth: int) -> FrozenDict[Any, Any]:
    if len(rest) % 2:
        raise DecodeError("a dict with a key and no value")
    # Nothing in a dict of scalars is left to freeze. The depth on the wire counts the message and what is in the dict.
    checked_depth = depth - 2 if SCALARS.issuperset(map(type, rest)) else -1
    parts = iter(_items_from_wire(rest, depth))
    return FrozenDict.adopt(dict(zip(parts, parts, strict=True)), checked_depth)


def _build_plan_of(tag: object) -> Build:
    cls = registry.message_class(tag)
    if cls is None:
        raise DecodeError(f"an unknown type of message: {tag!r}; import the module that defines it first")
    build = cls.__build_plan__
    if build is None:
        if cls.__message_fields__ is None:
            raise DecodeError(f"{cls.__qualname__}: its fields have types that are not defined yet")
        build = build_plan(cls, cls.__message_fields__, from_wire, _checked, fields_from_wire, TUPLE)
        cls.__build_plan__ = build
    return build


def fields_from_wire(owner: type, fields: dict[str, FieldType], flat: list[Any], depth: int) -> dict[str, Any]:
    """Return the values of fields by name, whatever fields there are.

    Args:
        owner: The class with the fields.
        fields: All its fields.
        flat: Names and data.
        depth: How deep the data are nested.

    Raises:
        DecodeError: A field is not of the class, or not of its type.
    """
    if len(flat) % 2:
        raise DecodeError(f"{owner.__qualname__}: a field without a value")
    values = {}
    for name, wire in zip(flat[::2], flat[1::2], strict=True):
        field = fields.get(name) if isinstance(name, str) else None
        if field is None:
            raise DecodeError(f"{owner.__qualname__}: it has no field {name!r}")
        values[name] = _checked(owner, name, field, from_wire(wire, depth))
    return values


def _checked(owner: type, name: str, field: FieldType, value: object) -> object:
    if not field.matches(value):
        raise DecodeError(f"{owner.__qualname__}.{name}: a {type(value).__name__} is not of the field's type")
    return value


def _items_from_wire(rest: list[Any], depth: int) -> list[Any]:
    return [item if type(item) in SCALARS else from_wire(item, depth) for item in rest]


def _enum_from_wire(rest: list[Any], _: int) -> enum.Enum:
    tag, name = rest
    kind = registry.value_type(tag)
    if kind is None or not issubclass(kind, enum.Enum):
        raise DecodeError(f"an unknown enum: {tag!r}")
    return kind[name]


def _record_from_wire(rest: list[Any], depth: int) -> object:
    kind = registry.value_type(rest[0])
    if kind is None or issubclass(kind, enum.Enum):
        raise DecodeError(f"an unknown type of record: {rest[0]!r}")
    return kind(**fields_from_wire(kind, _record_fields(kind), rest[1:], depth))


def _record_fields(kind: type) -> dict[str, FieldType]:
    fields = _records.get(kind)
    if fields is None:
        hints = typing.get_type_hints(kind)
        names = record_fields(kind)
        fields = {name: field_type(hints[name], f"{kind.__qualname__}.{name}") for name in names}
        _records[kind] = fields
    return fields


def _wire_type_from_wire(rest: list[Any], depth: int) -> object:
    tag, data = rest
    wire_type = registry.wire_type(tag)
    if wire_type is None:
        raise DecodeError(f"an unknown type of value: {tag!r}")
    return wire_type.from_wire(from_wire(data, depth))


def _timedelta_from_wire(rest: list[Any], _: int) -> dt.timedelta:
    days, seconds, microseconds = rest
    return dt.timedelta(days, seconds, microseconds)


def _one(make: Callable[[Any], object], kind: type) -> Callable[[list[Any], int], object]:
    """Return the decoder of a value that travels as one datum of this kind."""

    def decoder(rest: list[Any], _: int) -> object:
        (data,) = rest
        if not isinstance(data, kind):
            raise DecodeError(f"a {type(data).__name__} where a {kind.__name__} should be")
        return make(data)

    return decoder


_DECODERS: dict[int, Callable[[list[Any], int], object]] = {
    DICT: _dict_from_wire,
    FROZENSET: lambda rest, depth: frozenset(_items_from_wire(rest, depth)),
    DATETIME: _one(dt.datetime.fromisoformat, str),
    DATE: _one(dt.date.fromisoformat, str),
    TIME: _one(dt.time.fromisoformat, str),
    TIMEDELTA: _timedelta_from_wire,
    DECIMAL: _one(Decimal, str),
    UUID_: _one(lambda data: UUID(bytes=data), bytes),
    EXCEPTION: lambda rest, _: _exception_from_wire(*rest),
    WIRE_TYPE: _wire_type_from_wire,
    ENUM: _enum_from_wire,
    RECORD: _record_from_wire,
}
