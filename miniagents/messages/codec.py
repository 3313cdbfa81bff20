"""The wire: messages as bytes and back, typed and polymorphic. msgpack underneath; nothing is ever unpickled.

Scalars travel as themselves. Everything else is an array that begins with a code for its kind, so that a tuple is told
from a frozenset, and a message from a dict that looks like one. A class is found by its tag among those that are
defined in this process; no bytes make anything be imported.
"""

import builtins
import datetime as dt
import enum
import traceback
import typing
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
import structlog

from miniagents import errors
from miniagents.errors import DecodeError, NotSendableError, RemoteError, UnencodableError
from miniagents.messages import registry
from miniagents.messages.fields import FieldType, field_type
from miniagents.messages.frozen import MAX_DEPTH, FrozenDict, check_int, check_str, is_frozen_dict, is_frozen_record
from miniagents.messages.meta import is_message

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

_log = structlog.get_logger("miniagents")
_warned: set[str] = set()


def to_wire(value: Any, where: str, depth: int) -> Any:
    """Plain data for any value that a message may hold.

    Raises:
        NotSendableError: It cannot travel.
        UnencodableError: The wire cannot carry it.
    """
    kind = value.__class__
    if kind is str:
        check_str(value, where)
        return value
    if kind is int:
        check_int(value, where)
        return value
    if kind is bool or kind is float or kind is bytes or value is None:
        return value
    if depth > MAX_DEPTH:
        raise UnencodableError(f"{where[:200]}...: nested more than {MAX_DEPTH} deep")
    if is_message(value):
        return _message_to_wire(value, where, depth)
    if kind is tuple:
        return [TUPLE, *[to_wire(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]]
    if is_frozen_dict(kind):
        flat = [DICT]
        for key, item in value.items():
            flat += (to_wire(key, where, depth + 1), to_wire(item, f"{where}[{key!r}]", depth + 1))
        return flat
    if kind is frozenset:
        return [FROZENSET, *[to_wire(item, where, depth + 1) for item in value]]
    return _rare_to_wire(value, where, depth)


def _message_to_wire(message: Any, where: str, depth: int) -> Any:
    cls = type(message)
    if cls.__module__ == "__main__" and cls.__wire_tag__.startswith("__main__:") and cls.__wire_tag__ not in _warned:
        _warned.add(cls.__wire_tag__)
        _log.warning(
            "a message class of __main__ is encoded: no other program can decode it; move it into a module, or give "
            "it a tag",
            message_class=cls.__qualname__,
        )
    flat = [MESSAGE, cls.__wire_tag__]
    for name in cls.__struct_fields__:
        value = getattr(message, name)
        if name != "metadata" or value:
            flat += (name, to_wire(value, f"{where}.{name}", depth + 1))
    return flat


def _rare_to_wire(value: Any, where: str, depth: int) -> Any:
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
    kind: Any = type(value)
    if is_frozen_record(kind):
        flat = [RECORD, registry.default_tag(kind)]
        for name in _record_fields(kind):
            flat += (name, to_wire(getattr(value, name), f"{where}.{name}", depth + 1))
        return flat
    plains: tuple[Any, ...] = (str, int, float, bytes)
    for plain in plains:  # a typed scalar field may hold a subclass
        if isinstance(value, plain):
            return to_wire(plain(value), where, depth)
    raise NotSendableError(f"{where}: a {kind.__name__} cannot travel ({value!r})")


def _exception_to_wire(error: BaseException) -> Any:
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
    source: Any = {"builtins": builtins, "miniagents": errors}.get(module)
    cls = getattr(source, qualname, None) if source is not None else None
    if isinstance(cls, type) and issubclass(cls, Exception) and cls is not RemoteError:
        try:
            return cls(text)
        except Exception:  # a class that takes other arguments (UnicodeDecodeError) travels as a RemoteError
            pass
    return RemoteError(text, type_name=name, remote_traceback=trace)


def from_wire(value: Any, depth: int) -> Any:
    """The value that `to_wire` made this plain data of.

    Raises:
        DecodeError: It is no such data.
    """
    if isinstance(value, (str, int, float, bytes)) or value is None:
        return value
    if depth > MAX_DEPTH:
        raise DecodeError(f"nested more than {MAX_DEPTH} deep")
    if not isinstance(value, list) or not value or value[0].__class__ is not int:
        raise DecodeError(f"a {type(value).__name__} where a value should be")
    code, *rest = value
    decoder = _DECODERS.get(code)
    if decoder is None:
        raise DecodeError(f"an unknown kind of value: {code!r}")
    return decoder(rest, depth + 1)


def _dict_from_wire(rest: list[Any], depth: int) -> Any:
    if len(rest) % 2:
        raise DecodeError("a dict with a key and no value")
    it = iter(rest)
    return FrozenDict({from_wire(key, depth): from_wire(item, depth) for key, item in zip(it, it, strict=True)})


def _message_from_wire(rest: list[Any], depth: int) -> Any:
    cls = registry.message_class(rest[0])
    if cls is None:
        raise DecodeError(f"an unknown type of message: {rest[0]!r}; import the module that defines it first")
    fields = cls.__message_fields__
    if fields is None:
        raise DecodeError(f"{cls.__qualname__}: its fields have types that are not defined yet")
    return cls(**_fields_from_wire(cls, fields, rest[1:], depth))


def _fields_from_wire(cls: type, fields: dict[str, FieldType], flat: list[Any], depth: int) -> dict[str, Any]:
    if len(flat) % 2:
        raise DecodeError(f"{cls.__qualname__}: a field without a value")
    values = {}
    for name, wire in zip(flat[::2], flat[1::2], strict=True):
        field = fields.get(name) if isinstance(name, str) else None
        if field is None:
            raise DecodeError(f"{cls.__qualname__}: it has no field {name!r}")
        value = from_wire(wire, depth)
        if not field.matches(value):
            raise DecodeError(f"{cls.__qualname__}.{name}: a {type(value).__name__} is not of the field's type")
        values[name] = value
    return values


def _enum_from_wire(rest: list[Any], _: int) -> Any:
    tag, name = rest
    kind = registry.value_type(tag)
    if kind is None or not issubclass(kind, enum.Enum):
        raise DecodeError(f"an unknown enum: {tag!r}")
    return kind[name]


def _record_from_wire(rest: list[Any], depth: int) -> Any:
    kind = registry.value_type(rest[0])
    if kind is None or issubclass(kind, enum.Enum):
        raise DecodeError(f"an unknown type of record: {rest[0]!r}")
    return kind(**_fields_from_wire(kind, _record_fields(kind), rest[1:], depth))


@cache
def _record_fields(kind: Any) -> dict[str, FieldType]:
    hints = typing.get_type_hints(kind)
    names = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else list(kind.__dataclass_fields__)
    return {name: field_type(hints[name], f"{kind.__qualname__}.{name}") for name in names}


def _wire_type_from_wire(rest: list[Any], depth: int) -> Any:
    tag, data = rest
    wire_type = registry.wire_type(tag)
    if wire_type is None:
        raise DecodeError(f"an unknown type of value: {tag!r}")
    return wire_type.from_wire(from_wire(data, depth))


def _timedelta_from_wire(rest: list[Any], _: int) -> dt.timedelta:
    days, seconds, microseconds = rest
    return dt.timedelta(days, seconds, microseconds)


def _one(make: Callable[[Any], Any], kind: type) -> Callable[[list[Any], int], Any]:
    def decoder(rest: list[Any], _: int) -> Any:
        (data,) = rest
        if not isinstance(data, kind):
            raise DecodeError(f"a {type(data).__name__} where a {kind.__name__} should be")
        return make(data)

    return decoder


_DECODERS: dict[int, Callable[[list[Any], int], Any]] = {
    TUPLE: lambda rest, depth: tuple([from_wire(item, depth) for item in rest]),
    DICT: _dict_from_wire,
    MESSAGE: _message_from_wire,
    FROZENSET: lambda rest, depth: frozenset([from_wire(item, depth) for item in rest]),
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
