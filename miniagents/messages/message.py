"""`Message`, the base of all messages, and `MessagePromise`, the promise of a message.

The two stand in one module because a message makes its promise, and a promise makes its message.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeAlias, TypeVar, overload

import msgspec
from msgspec.structs import force_setattr

from miniagents.errors import AppenderNotOpenError, NotSendableError, PromiseNotReadyError
from miniagents.messages import hashing
from miniagents.messages.fields import FieldType
from miniagents.messages.frozen import EMPTY, TEXTS, FrozenDict, freeze, is_frozen_dict
from miniagents.messages.meta import MessageMeta
from miniagents.messages.plans import Flatten
from miniagents.messages.tokens import MessageTokenAppender, TextToken, Token
from miniagents.promising import StreamAppender, StreamedPromise
from miniagents.promising.promise import NO_VALUE

T = TypeVar("T")
M = TypeVar("M", bound="Message")

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault  # that of `typing` knows `default=` from 3.13 on

    MessageT_co = TypeVarWithDefault("MessageT_co", bound="Message", default="Message", covariant=True)
else:
    MessageT_co = TypeVar("MessageT_co", covariant=True)

MessageTokenStreamer: TypeAlias = Callable[[dict[str, Any]], AsyncIterator[Any]] | StreamAppender[Any]
"""The source of the tokens of a message: an async generator function or an appender. The function gets a dict for
fields and metadata that are known only at the end."""


class _Key:
    """The descriptor of a key. Once computed, the key is in the `__dict__` of the message, where Python looks first."""

    def __init__(self, *, with_metadata: bool) -> None:
        self._with_metadata = with_metadata

    @overload
    def __get__(self, message: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, message: "Message", owner: type | None = None) -> str: ...

    def __get__(self, message: "Message | None", owner: type | None = None) -> Self | str:
        if message is None:
            return self
        return hashing.hash_key(message) if self._with_metadata else hashing.content_key(message)


class Message(msgspec.Struct, kw_only=True, metaclass=MessageMeta):
    """The base of all messages. Subclasses declare typed fields.

    Messages are frozen, and their fields must have immutable types. A list that is given for a tuple field becomes a
    tuple, and a dict a `FrozenDict`, deeply. Type checkers take lists and dicts too if the field is annotated as
    `Sequence[X]` or `Mapping[K, V]`. The class keyword `tag="..."` sets the name on the wire, by default
    `module:qualname`.

    Attributes:
        metadata: Data beside the message, deeply frozen. They are part of `==` and `hash_key`, but not of
            `content_key`.

    Raises:
        MutableFieldError: A field of a subclass has a type that is not known to be immutable.

    Example:
        >>> class Order(Message):
        ...     number: int
        ...     tags: tuple[str, ...] = ()
        >>> Order(number=1, tags=["new"])
        Order(number=1, tags=('new',), metadata=FrozenDict({}))
        >>> class Basket(Message):
        ...     orders: list[Order]
        Traceback (most recent call last):
        miniagents.errors.MutableFieldError: Basket.orders: list is mutable; use tuple[X, ...]
    """

    metadata: Mapping[str, Any] = EMPTY

    is_aside: ClassVar[bool] = False
    """True if messages of the class are work on the way to an answer and no part of it: tool calls and their
    results."""

    __miniagents_immutable__ = True
    __wire_tag__: ClassVar[str]
    __message_fields__: ClassVar[dict[str, FieldType] | None]
    __wire_plan__: ClassVar[Flatten | None]
    __key_plan__: ClassVar[Flatten | None]
    __message_init__: ClassVar[Any] = None
    __own_post_init__: ClassVar[Any] = None

    def __post_init__(self) -> None:
        if self.metadata is not EMPTY and not is_frozen_dict(self.metadata):
            force_setattr(self, "metadata", freeze(self.metadata, self.__class__.__name__ + ".metadata"))
        if self.__message_init__ is not None:
            self.__message_init__()

    def with_metadata(self, **metadata: object) -> Self:
        """Return the message with more metadata. New values replace those of the same name."""
        return msgspec.structs.replace(
            self, metadata=self.metadata | freeze(metadata, f"{type(self).__name__}.metadata")
        )

    hash_key: ClassVar[_Key] = _Key(with_metadata=True)
    """The SHA-256 (hex) of class, fields and metadata, equal for equal messages in every process. 1, 1.0 and True
    differ.

    The key is computed once. It is a Merkle hash: a nested message contributes its own `hash_key`.
    """

    content_key: ClassVar[_Key] = _Key(with_metadata=False)
    """Like `hash_key`, but without metadata, at every depth."""

    @property
    def as_promise(self) -> "MessagePromise[Self]":
        """Return a promise that has resolved to this message."""
        return MessagePromise(prefill_message=self)

    @classmethod
    def promise(
        cls,
        *,
        message_token_streamer: MessageTokenStreamer | None = None,
        start_soon: bool = True,
        **known_beforehand: Any,
    ) -> "MessagePromise[Self]":
        """Make a promise of a message of this class.

        Args:
            message_token_streamer: The source of the tokens, see `MessagePromise`. Without it, the fields must be
                given, and the promise has resolved.
            start_soon: Begin to stream as soon as the loop turns; otherwise with the first iteration or `await`.
            **known_beforehand: Fields of the class, and metadata under other names, that are known now.
        """
        return promise_of(cls, message_token_streamer, known_beforehand, start_soon=start_soon)

    @classmethod
    def tokens_to_message(cls, tokens: "Iterable[Any]", /, **values: object) -> "Message":
        """Make a message of its tokens. Classes that can be streamed override this method.

        Args:
            tokens: The tokens.
            **values: Fields, and metadata under other names.

        Raises:
            TypeError: Messages of this class cannot be streamed.
        """
        raise TypeError(f"{cls.__name__} cannot be made of tokens: override tokens_to_message()")

    def message_to_tokens(self) -> "tuple[Any, ...]":
        """Return the tokens of the message, for the iteration of a promise that was made of the message."""
        text = str(self)
        return (TextToken(text),) if text else ()

    @property
    def text(self) -> str:
        """The text of the message, the same as `str(message)`: that of a text message, JSON of the fields for others. A
        class may declare a field of this name instead."""
        return str(self)

    def __str__(self) -> str:
        return to_json({name: getattr(self, name) for name in self.__struct_fields__ if name != "metadata"})


class Request(Message, Generic[T]):
    """The base of messages that expect an answer of a certain type. Type checkers know the type of `await
    ref.ask(...)`.

    Example:
        >>> class Total(Message):
        ...     value: int
        >>> class Read(Request[Total]):
        ...     pass
        >>> class Counter(Actor):
        ...     async def receive(self, message, ctx):
        ...         return Total(value=3)
        >>> async with MiniAgents() as system:
        ...     total = await system.spawn(Counter).ask(Read())  # a `Total` for mypy
        >>> total.value
        3
    """


class TextMessage(Message):
    """A text and the role of its speaker. A str that is sent becomes a `TextMessage`.

    Attributes:
        content: The text.
        role: "user", "system" or "assistant"; None where the role does not matter.

    Example:
        >>> message = TextMessage("Hello", role="user", metadata={"lang": "en"})
        >>> print(message, message.metadata["lang"])
        Hello en
    """

    content: str = ""
    role: str | None = None

    @classmethod
    def tokens_to_message(cls, tokens: Iterable[Any], /, **values: object) -> Message:
        """Join the texts of the tokens."""
        return text_of_tokens(cls, tokens, values)

    @classmethod
    def promise(
        cls,
        content: str | None = None,
        *,
        message_token_streamer: MessageTokenStreamer | None = None,
        start_soon: bool = True,
        **known_beforehand: Any,
    ) -> "MessagePromise[Self]":
        """Make a promise of a text: of `content` if it is there already, or of the source of its tokens.

        Args:
            content: The text.
            message_token_streamer: As in `Message.promise`.
            start_soon: As in `Message.promise`.
            **known_beforehand: As in `Message.promise`.

        Raises:
            ValueError: Both a text and a source were given.
            NotSendableError: `content` is no str.
        """
        if content is not None:
            if message_token_streamer is not None:
                raise ValueError("give the content, or a message_token_streamer= that streams it, not both")
            if not isinstance(content, str):
                streams = callable(content) or hasattr(content, "__aiter__")
                instead = "; write message_token_streamer=, with a function that streams it" if streams else ""
                raise NotSendableError(
                    f"{cls.__name__}: its content is a str, not {type(content).__name__} ({content!r}){instead}"
                )
            known_beforehand["content"] = content
        return super().promise(message_token_streamer=message_token_streamer, start_soon=start_soon, **known_beforehand)

    def __str__(self) -> str:
        return self.content or ""


class MessagePromise(StreamedPromise[Token, MessageT_co]):
    """A promise of a message. Iterate over it for the tokens, await it for the message.

    Args:
        message_token_streamer: The source of the tokens: an async generator function, or a `MessageTokenAppender` that
            is open. The function gets a dict for fields and metadata that are known only at the end.
        prefill_message: The message, if it is there already.
        message_class: The class of the message that is made of the tokens.
        start_soon: Begin to stream as soon as the loop turns; otherwise with the first iteration or `await`.
        **known_beforehand: Fields, and metadata under other names, that are known now.

    Raises:
        AppenderNotOpenError: The appender was never opened, so that the promise could never settle.
        NotSendableError: `message_token_streamer` is no source of tokens, or `prefill_message` is no message.

    Attributes:
        known_beforehand: The fields and metadata that were known beforehand; of a message that was there, its metadata.
        message_class: The class of the message.

    Example:
        >>> async def greeting(late):
        ...     yield "Hello, "
        ...     yield "world"
        ...     late["tokens"] = 2
        >>> async with MiniAgents():
        ...     promise = MessagePromise(message_token_streamer=greeting)
        ...     async for token in promise:
        ...         print(repr(str(token)))
        ...     print(await promise, (await promise).metadata)
        'Hello, '
        'world'
        Hello, world FrozenDict({'tokens': 2})
    """

    __slots__ = ("_late", "known_beforehand", "message_class")

    known_beforehand: Mapping[str, Any]

    is_retractable = False
    """True if the stream may start again as long as no token has been read."""

    def __init__(
        self,
        *,
        message_token_streamer: MessageTokenStreamer | None = None,
        prefill_message: MessageT_co | None = None,
        message_class: type[Message] = TextMessage,
        start_soon: bool = True,
        **known_beforehand: Any,
    ) -> None:
        if prefill_message is not None:
            if message_token_streamer is not None or known_beforehand:
                raise ValueError("a message promise takes a finished message or what makes one, not both")
            if not isinstance(prefill_message, Message):
                raise NotSendableError(f"prefill_message= is a Message, not {prefill_message!r}")
            self._prefill(prefill_message)
            return
        if message_token_streamer is None:
            raise ValueError("a message promise needs a message_token_streamer= or a prefill_message=")
        self.known_beforehand = freeze_known(known_beforehand) if known_beforehand else EMPTY
        self.message_class: type[Message] = message_class
        self._late: dict[str, Any] = {}
        streamer = message_token_streamer
        if isinstance(streamer, MessageTokenAppender):
            if not streamer.was_open:
                raise AppenderNotOpenError(
                    "open the MessageTokenAppender before a promise is made of it: put this inside "
                    "`with MessageTokenAppender() as appender:`"
                )
            self._late = streamer.metadata
        elif not isinstance(streamer, StreamAppender):
            if not callable(streamer):
                raise NotSendableError(
                    f"message_token_streamer= is an async generator function of one argument, or an appender, not "
                    f"{streamer!r}"
                )
            streamer = _Late(streamer, self._late)
        super().__init__(streamer, start_soon=start_soon)

    @classmethod
    def of(cls, message: M) -> "MessagePromise[M]":
        """Return a promise that has resolved to `message`."""
        promise: Any = cls.__new__(cls)
        cls._prefill(promise, message)
        return promise  # type: ignore[no-any-return]

    def _prefill(self, message: Message) -> None:
        # What the constructors of the bases do, written out: there is one such promise for each message that is sent
        # (benchmark `agent_call`).
        self.settled_value = message
        self.settled_error = None
        self.waiters = self.callbacks = self.producer = self._task = self._resolver = self._scope = None
        self._unseen = self.started_work = None
        self.pieces = ()
        self.dropped = 0
        self._keep = self.piece_waiters = self._streamer = self.stream_task = self._whole = None
        self.pause = self.tap = None
        self.finished = True
        self.known_beforehand = message.metadata
        self.message_class = message.__class__

    def __aiter__(self) -> AsyncIterator[Token]:
        if self.finished and self.settled_value is not NO_VALUE and not self.pieces:
            self.pieces = self.settled_value.message_to_tokens()
        return super().__aiter__()

    def __str__(self) -> str:
        if self.settled_value is NO_VALUE and self.settled_error is None:
            raise PromiseNotReadyError(
                f"the text of {self!r} was asked for before it resolved: await it first (a placeholder must never slip "
                f"into a prompt)"
            )
        return str(self.result())

    def _assembled(self, pieces: Sequence[Token]) -> MessageT_co:
        message: Any = self.message_class.tokens_to_message(pieces, **{**self._late, **self.known_beforehand})
        return message  # type: ignore[no-any-return]

    def _settled(self) -> None:
        scope, message = self._scope, self.settled_value
        super()._settled()
        if scope is not None and message is not NO_VALUE:
            scope.promising_context.message_resolved(message)


def freeze_known(known_beforehand: dict[str, Any]) -> FrozenDict[str, Any]:
    """Freeze what is known beforehand of a message.

    The replies of an agent have the same few short texts (its alias, the model), as long as it lives: they share one
    dict. Numbers are not shared, since 1, 1.0 and True are equal.

    Raises:
        NotSendableError: A value cannot be part of a message.
        UnencodableError: The wire cannot carry a value.
    """
    values = known_beforehand.values()
    if TEXTS.issuperset(map(type, values)) and len("".join(values)) < 200:
        return _freeze_texts(tuple(known_beforehand.items()))
    return freeze(known_beforehand, "known_beforehand")  # type: ignore[no-any-return]


@lru_cache(maxsize=128)
def _freeze_texts(items: tuple[tuple[str, str], ...]) -> FrozenDict[str, Any]:
    return freeze(dict(items), "known_beforehand")  # type: ignore[no-any-return]


class _Late:
    """A streamer of a promise that calls a streamer of tokens with the dict for late fields."""

    __slots__ = ("_late", "_streamer")

    def __init__(self, streamer: Callable[[dict[str, Any]], AsyncIterator[Any]], late: dict[str, Any]) -> None:
        self._streamer = streamer
        self._late = late

    def __call__(self, _: object) -> AsyncIterator[Any]:
        return self._streamer(self._late)


def promise_of(
    cls: type[M], streamer: MessageTokenStreamer | None, known_beforehand: dict[str, Any], *, start_soon: bool
) -> MessagePromise[M]:
    """Make a promise of a streamer, or of fields that are all there: see `Message.promise`."""
    if streamer is None:
        fields, metadata = split_fields(cls, known_beforehand)
        return MessagePromise(prefill_message=cls(**fields, metadata=metadata))
    return MessagePromise(message_token_streamer=streamer, message_class=cls, start_soon=start_soon, **known_beforehand)


def text_of_tokens(cls: type[Message], tokens: Iterable[Any], values: dict[str, Any]) -> Message:
    """Make a text message of its tokens. Values that are no fields of the class become metadata."""
    fields, metadata = split_fields(cls, values)
    fields["content"] = "".join(map(str, tokens))
    return cls(**fields, metadata=metadata)


def split_fields(cls: type[Message], values: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Split values into the fields of the class and metadata, which are all others."""
    names = cls.__struct_fields__
    metadata = {**values.get("metadata", {}), **{name: value for name, value in values.items() if name not in names}}
    fields = {name: value for name, value in values.items() if name in names and name != "metadata"}
    return fields, metadata if metadata else EMPTY


def to_json(value: object, unknown: Callable[[Any], Any] = str) -> str:
    """Return data as JSON text, without the metadata of messages.

    Args:
        value: The data.
        unknown: Makes data of a value that JSON has no form for.
    """
    return msgspec.json.encode(_plain(value, unknown)).decode()


def _plain(value: object, unknown: Callable[[Any], Any]) -> object:
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


def _json_key(key: object) -> object:
    if isinstance(key, (tuple, frozenset)):
        return str(key)
    return key.hex() if isinstance(key, bytes) else "null" if key is None else key
