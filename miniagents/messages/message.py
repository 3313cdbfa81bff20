"""`Message`: what actors and agents say to each other, immutable and typed."""

import sys
import typing
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, dataclass_transform, overload

import msgspec
from msgspec.structs import force_setattr

from miniagents.errors import MutableFieldError
from miniagents.messages import registry
from miniagents.messages.fields import FieldType, field_type, is_class_var
from miniagents.messages.frozen import EMPTY, FrozenDict, freeze, is_frozen_dict

if TYPE_CHECKING:
    from miniagents.messages.promises import MessagePromise

T = TypeVar("T")


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


class _Key:
    """A key of a message. Once it is worked out it stands in the message's own dict, where Python looks first."""

    def __init__(self, *, with_metadata: bool) -> None:
        self._with_metadata = with_metadata

    @overload
    def __get__(self, message: None, owner: Any = None) -> Self: ...

    @overload
    def __get__(self, message: "Message", owner: Any = None) -> str: ...

    def __get__(self, message: "Message | None", owner: Any = None) -> Self | str:
        if message is None:
            return self
        from miniagents.messages import hashing

        return hashing.hash_key(message) if self._with_metadata else hashing.content_key(message)


class Message(msgspec.Struct, kw_only=True, metaclass=MessageMeta):
    """The base of all messages. Subclass it with typed fields: `class Order(Message): number: int`.

    Subclasses are frozen, and their fields must have immutable types. Lists given for tuple fields become tuples, dicts
    become `FrozenDict`s, deeply. A class keyword `tag="..."` fixes the name on the wire, by default `module:qualname`.

    Attributes:
        metadata: Data beside the message: part of `==` and `hash_key`, but not of `content_key`.
    """

    metadata: FrozenDict[str, Any] = EMPTY

    is_aside: ClassVar[bool] = False
    """Whether it is work on the way to an answer, and no part of it: a tool call, the result of one."""

    __miniagents_immutable__ = True
    __message_init__: ClassVar[Any] = None

    def __post_init__(self) -> None:
        if self.metadata is not EMPTY and not is_frozen_dict(self.metadata.__class__):
            force_setattr(self, "metadata", freeze(self.metadata, f"{type(self).__name__}.metadata"))
        if self.__message_init__ is not None:
            self.__message_init__()

    def with_metadata(self, **more: Any) -> Self:
        """The same message with more metadata; what is given wins over what is there."""
        return msgspec.structs.replace(self, metadata=self.metadata | freeze(more, f"{type(self).__name__}.metadata"))

    hash_key: ClassVar[_Key] = _Key(with_metadata=True)
    """SHA-256 (hex) of type and fields: equal for equal content in every process; told apart are 1, 1.0 and True.

    It is a Merkle hash (a nested message contributes its own `hash_key`), and is computed once.
    """

    content_key: ClassVar[_Key] = _Key(with_metadata=False)
    """Like `hash_key`, but without metadata, at every depth."""

    @property
    def as_promise(self) -> "MessagePromise":
        """A promise that has resolved to this message."""
        from miniagents.messages.promises import MessagePromise

        return MessagePromise(prefill_message=self)

    @classmethod
    def promise(
        cls, *, message_token_streamer: Any = None, start_soon: bool = True, **known_beforehand: Any
    ) -> "MessagePromise":
        """A promise of a message of this class.

        Args:
            message_token_streamer: Streams the tokens that the message is made of.
            start_soon: Begin to stream as soon as the loop turns; otherwise when somebody asks for it.
            **known_beforehand: Fields of the class, and metadata, that are known before the content is there.
        """
        from miniagents.messages.promises import promise_of

        return promise_of(cls, message_token_streamer, start_soon, known_beforehand)

    @classmethod
    def tokens_to_message(cls, tokens: "Iterable[Any]", **values: Any) -> "Message":
        """Make a message of its tokens; classes that can be streamed override it.

        Args:
            tokens: The tokens.
            **values: Fields, and metadata under any other name.

        Raises:
            TypeError: Messages of this class cannot be streamed.
        """
        raise TypeError(f"{cls.__name__} cannot be made of tokens: override tokens_to_message()")

    def message_to_tokens(self) -> "tuple[Any, ...]":
        """What iterating a promise of this message gives when the message is there already."""
        from miniagents.messages.kinds import TextToken

        text = str(self)
        return (TextToken(text),) if text else ()

    def __str__(self) -> str:
        return to_json({name: getattr(self, name) for name in self.__struct_fields__ if name != "metadata"})


class Request(Message, Generic[T]):
    """The base of messages that expect an answer of a certain type: `class Read(Request[Total])` makes `await
    ref.ask(Read())` a `Total` for type checkers."""


def to_json(value: Any, unknown: Callable[[Any], Any] = str) -> str:
    """Any data as JSON text, without the metadata of messages in it.

    Args:
        value: The data.
        unknown: Makes data of what JSON has no form for.
    """
    return msgspec.json.encode(_plain(value, unknown)).decode()


def _plain(value: Any, unknown: Callable[[Any], Any]) -> Any:
    if isinstance(value, Message):
        return {name: _plain(getattr(value, name), unknown) for name in value.__struct_fields__ if name != "metadata"}
    if isinstance(value, (FrozenDict, dict)):
        return {_json_key(key): _plain(item, unknown) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, unknown) for item in value]
    if isinstance(value, (str, int, float, bool, type(None), bytes)):
        return value
    try:
        return msgspec.to_builtins(value, enc_hook=unknown)
    except TypeError:
        return unknown(value)


def _json_key(key: Any) -> Any:
    if isinstance(key, (tuple, frozenset)):
        return str(key)
    return key.hex() if isinstance(key, bytes) else "null" if key is None else key
