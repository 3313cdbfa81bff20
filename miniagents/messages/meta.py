"""How message classes are made: frozen, with fields of immutable types alone."""

import sys
import typing
from typing import Any, dataclass_transform

import msgspec
from msgspec.structs import force_setattr

from miniagents.errors import MutableFieldError
from miniagents.messages import registry
from miniagents.messages.fields import FieldType, field_type, is_class_var
from miniagents.messages.frozen import freeze


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class MessageMeta(msgspec.StructMeta):
    """Makes message classes: frozen without being told, with fields of immutable types alone.

    The check runs here and not in `__init_subclass__`, which comes before the class has its fields.
    """

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> Any:
        """Make a class.

        Args:
            name: As for any class.
            bases: As for any class.
            namespace: As for any class.
            **config: `tag=` is the name on the wire, by default `module:qualname`; the rest is for `msgspec.Struct`.

        Raises:
            MutableFieldError: A field's type is not known to be immutable, or `frozen=False` was given.
        """
        if config.pop("frozen", True) is not True:
            raise MutableFieldError(f"{name}: a message is always frozen; leave frozen=False out")
        tag = config.pop("tag", None)
        # msgspec calls what the class was made with; ours comes first, and then the author's own.
        own_post_init = namespace.pop("__post_init__", None) if bases[0] is not msgspec.Struct else None
        config.setdefault("weakref", True)
        config.setdefault("dict", True)  # where cached hash keys live: neither ==, hash, repr nor the wire looks there
        cls: Any = super().__new__(mcls, name, bases, namespace, frozen=True, **config)
        cls.__message_fields__ = None
        if own_post_init is not None:
            cls.__own_post_init__ = own_post_init
        # What was in sight where the class was written: a forward reference may name a local class.
        cls.__message_locals__ = dict(sys._getframe(1).f_locals) if "<locals>" in cls.__qualname__ else {}
        registry.register(cls, tag)
        if not _prepare(cls, final=False):
            cls.__message_init__ = _first_init
        return cls


def _prepare(cls: Any, *, final: bool) -> bool:
    """Check the fields of a class, and choose what its construction must do.

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
    cls.__message_converts__ = tuple(name for name, f in fields.items() if f.converts and name != "metadata")
    cls.__message_locals__ = {}
    own = getattr(cls, "__own_post_init__", None)
    cls.__message_init__ = _freezing_init if cls.__message_converts__ else own
    return True


def _freezing_init(self: Any) -> None:
    cls = type(self)
    for name in cls.__message_converts__:
        value = getattr(self, name)
        frozen = freeze(value, f"{cls.__name__}.{name}")
        if frozen is not value:
            force_setattr(self, name, frozen)
    own = getattr(cls, "__own_post_init__", None)
    if own is not None:
        own(self)


def _first_init(self: Any) -> None:
    """The first instance of a class with a forward reference: by now it must resolve."""
    _prepare(type(self), final=True)
    if type(self).__message_init__ is not None:
        self.__message_init__()


def is_message(value: Any) -> bool:
    """Whether a value is a message, told by the class of its class (quicker than isinstance with a metaclass)."""
    return value.__class__.__class__ is MessageMeta
