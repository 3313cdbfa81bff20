"""The metaclass of messages: frozen classes whose fields have immutable types."""

import inspect
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeGuard, dataclass_transform

import msgspec
from msgspec.structs import force_setattr

from miniagents.errors import MutableFieldError
from miniagents.messages import registry
from miniagents.messages.fields import FieldType, field_type, is_class_var
from miniagents.messages.frozen import freeze
from miniagents.messages.plans import Build, Flatten


class AnyMessage(Protocol):
    """A message, as the modules below `message` see it."""

    __wire_tag__: ClassVar[str]
    __struct_fields__: ClassVar[tuple[str, ...]]
    __message_fields__: ClassVar[dict[str, FieldType] | None]
    __wire_plan__: ClassVar[Flatten | None]
    __key_plan__: ClassVar[Flatten | None]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The metadata of the message."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class MessageMeta(msgspec.StructMeta):
    """The metaclass of messages. All message classes are frozen, and their fields have immutable types.

    The types are checked here, since the class has no fields yet in `__init_subclass__`.
    """

    __message_fields__: dict[str, FieldType] | None
    __message_locals__: dict[str, Any]
    __message_converts__: tuple[tuple[str, str], ...]
    __message_init__: Any
    __own_post_init__: Any
    __wire_plan__: Flatten | None
    __key_plan__: Flatten | None
    __build_plan__: Build | None

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> Any:
        """Make a message class.

        Args:
            name: As for any class.
            bases: As for any class.
            namespace: As for any class.
            **config: `tag=` is the name on the wire, by default `module:qualname`. All other options are those of
                `msgspec.Struct`.

        Raises:
            MutableFieldError: The type of a field is not known to be immutable, or `frozen=False` was given.
        """
        if config.pop("frozen", True) is not True:
            raise MutableFieldError(f"{name}: a message is always frozen; leave frozen=False out")
        tag = config.pop("tag", None)
        # msgspec calls the `__post_init__` that the class was made with: that of `Message`, which calls the author's.
        own_post_init = namespace.pop("__post_init__", None) if bases[0] is not msgspec.Struct else None
        config.setdefault("weakref", True)
        config.setdefault("dict", True)  # for cached hash keys: neither ==, hash, repr nor the wire looks there
        cls: Any = super().__new__(mcls, name, bases, namespace, frozen=True, **config)
        cls.__message_fields__ = None
        cls.__wire_plan__ = cls.__key_plan__ = cls.__build_plan__ = None  # compiled when they are needed first
        if own_post_init is not None:
            cls.__own_post_init__ = own_post_init
        # The local names where the class was written: a forward reference may name a local class.
        caller = getattr(inspect.currentframe(), "f_back", None) if "<locals>" in cls.__qualname__ else None
        cls.__message_locals__ = dict(caller.f_locals) if caller is not None else {}
        registry.register(cls, tag)
        if not _prepare(cls, final=False):
            cls.__message_init__ = _first_init
        return cls


def _prepare(cls: MessageMeta, *, final: bool) -> bool:
    """Check the fields of a class, and choose what the construction of an instance does.

    Args:
        cls: The class.
        final: Raise if a forward reference cannot be resolved, since there is an instance now.

    Returns:
        False if a forward reference cannot be resolved yet.
    """
    try:
        # The class itself is not yet a name of its module.
        hints = typing.get_type_hints(cls, localns={**cls.__message_locals__, cls.__name__: cls}, include_extras=True)
    except NameError as error:
        if final:
            raise MutableFieldError(f"{cls.__qualname__}: the type of a field is not known: {error}") from error
        return False
    fields: dict[str, FieldType] = {}
    for name in cls.__struct_fields__:
        if not is_class_var(hints[name]):
            fields[name] = field_type(hints[name], f"{cls.__qualname__}.{name}")
    for field in fields.values():
        for kind in field.kinds:
            registry.register_value_type(kind)
    cls.__message_fields__ = fields
    cls.__message_converts__ = tuple(
        (name, f"{cls.__name__}.{name}") for name, f in fields.items() if f.converts and name != "metadata"
    )
    cls.__message_locals__ = {}
    own = cls.__own_post_init__
    if cls.__message_converts__:
        cls.__message_init__ = _freeze_fields if own is None else _freeze_fields_first
    else:
        cls.__message_init__ = own
    return True


def _freeze_fields(self: Any) -> None:
    for name, where in self.__message_converts__:
        value = getattr(self, name)
        frozen = freeze(value, where)
        if frozen is not value:
            force_setattr(self, name, frozen)


def _freeze_fields_first(self: Any) -> None:
    _freeze_fields(self)
    self.__own_post_init__()


def _first_init(self: Any) -> None:
    """Construct the first instance of a class with a forward reference, which must resolve by now."""
    _prepare(self.__class__, final=True)
    if type(self).__message_init__ is not None:
        self.__message_init__()


def is_message(value: object) -> TypeGuard[AnyMessage]:
    """Return whether a value is a message. The test of the metaclass is faster than `isinstance`."""
    return type(type(value)) is MessageMeta


def fields_of(cls: type[AnyMessage]) -> list[tuple[str, FieldType]]:
    """Return the names and types of the fields of a class, in their order.

    Raises:
        MutableFieldError: The type of a field is not known yet.
    """
    if cls.__message_fields__ is None:
        raise MutableFieldError(f"{cls.__qualname__}: the type of a field is not known yet")
    return list(cls.__message_fields__.items())
