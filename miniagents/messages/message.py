"""`Message`: what actors and agents say to each other, and `MessagePromise`, the promise of one.

The two are one concept: a message makes its promise, and a promise makes its message.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

import msgspec
from msgspec.structs import force_setattr

from miniagents.errors import AppenderNotOpenError, NotSendableError, PromiseNotReadyError
from miniagents.messages import hashing
from miniagents.messages.frozen import EMPTY, FrozenDict, freeze, is_frozen_dict
from miniagents.messages.meta import MessageMeta
from miniagents.messages.tokens import MessageTokenAppender, TextToken, Token
from miniagents.promising import StreamAppender, StreamedPromise
from miniagents.promising.promise import NO_VALUE

T = TypeVar("T")

MessageTokenStreamer = Callable[[dict[str, Any]], AsyncIterator[Token | str]]
"""Streams the tokens of a message. Its argument is a dict for fields and metadata that are known only at the end."""


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
        text = str(self)
        return (TextToken(text),) if text else ()

    def __str__(self) -> str:
        return to_json({name: getattr(self, name) for name in self.__struct_fields__ if name != "metadata"})


class Request(Message, Generic[T]):
    """The base of messages that expect an answer of a certain type: `class Read(Request[Total])` makes `await
    ref.ask(Read())` a `Total` for type checkers."""


class TextMessage(Message):
    """Text, and who says it.

    Attributes:
        content: The text.
        role: "user", "system", "assistant", or None where it does not matter.
    """

    content: str = ""
    role: str | None = None

    @classmethod
    def tokens_to_message(cls, tokens: Iterable[Any], **values: Any) -> Message:
        """The text of the tokens, joined."""
        return text_of_tokens(cls, tokens, values)

    @classmethod
    def promise(
        cls,
        content: str | None = None,
        *,
        message_token_streamer: Any = None,
        start_soon: bool = True,
        **known_beforehand: Any,
    ) -> "MessagePromise":
        """A promise of such a message, of its content or of what streams it; see `Message.promise`.

        Raises:
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


class MessagePromise(StreamedPromise[Token, Message]):
    """A promise of a message: iterate it for its tokens, await it for the whole.

    Args:
        message_token_streamer: Streams the tokens: an async generator function of one argument (a dict for fields and
            metadata that are known only at the end), or a `MessageTokenAppender` that is open.
        prefill_message: The message, if it is there already.
        message_class: What the tokens become.
        start_soon: Begin as soon as the loop turns; otherwise when somebody asks for it.
        **known_beforehand: Fields and metadata that are known before the content is there.

    Raises:
        AppenderNotOpenError: The appender was never opened, so that the promise could not end.
        NotSendableError: `message_token_streamer` streams nothing, or `prefill_message` is no message.

    Attributes:
        known_beforehand: What is known of the message before it is there; of one that is there, its metadata.
        message_class: What the tokens become.
    """

    __slots__ = ("_late", "known_beforehand", "message_class")

    is_retractable = False
    """Whether its stream may start again as long as no token was taken."""

    def __init__(
        self,
        *,
        message_token_streamer: Any = None,
        prefill_message: Message | None = None,
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
        self.known_beforehand: FrozenDict[str, Any] = (
            freeze(known_beforehand, "known_beforehand") if known_beforehand else EMPTY
        )
        self.message_class = message_class
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
    def of(cls, message: Message) -> "MessagePromise":
        """A promise of a message that is there."""
        promise = cls.__new__(cls)
        promise._prefill(message)
        return promise

    def _prefill(self, message: Message) -> None:
        # What the constructors above it do, written out: there is one such promise for each message that is sent
        # (benchmark `agent_call`).
        self._value = message
        self._error = None
        self._waiters = self._callbacks = self._producer = self._task = self._resolver = self._scope = None
        self._unseen = self._started = None
        self._pieces = ()
        self._dropped = 0
        self._keep = self._piece_waiters = self._streamer = self._stream_task = self._whole = None
        self._pause = self._tap = None
        self._finished = True
        self.known_beforehand = message.metadata
        self.message_class = message.__class__

    def __aiter__(self) -> AsyncIterator[Token]:
        if self._finished and self._value is not NO_VALUE and not self._pieces:
            self._pieces = self._value.message_to_tokens()
        return super().__aiter__()

    def _start_whole(self) -> None:
        """Somebody wants the whole message, not its tokens."""
        self._want_whole()
        self._start()

    def __str__(self) -> str:
        if self._value is NO_VALUE and self._error is None:
            raise PromiseNotReadyError(
                f"the text of {self!r} was asked for before it resolved: await it first (a placeholder must never slip "
                f"into a prompt)"
            )
        return str(self.result())

    def _assembled(self, pieces: Sequence[Token]) -> Message:
        return self.message_class.tokens_to_message(pieces, **{**self._late, **self.known_beforehand})

    def _settled(self) -> None:
        scope, message = self._scope, self._value
        super()._settled()
        if scope is not None and message is not NO_VALUE:
            scope.promising_context._message_resolved(message)


class _Late:
    """Calls a streamer with the dict for what is known late."""

    __slots__ = ("_late", "_streamer")

    def __init__(self, streamer: Any, late: dict[str, Any]) -> None:
        self._streamer = streamer
        self._late = late

    def __call__(self, _: Any) -> Any:
        return self._streamer(self._late)


def promise_of(cls: type[Message], streamer: Any, start_soon: bool, known_beforehand: dict[str, Any]) -> MessagePromise:
    """`Message.promise`: of a streamer, or of fields that are all there."""
    if streamer is None:
        fields, metadata = split_fields(cls, known_beforehand)
        return MessagePromise(prefill_message=cls(**fields, metadata=metadata))
    return MessagePromise(message_token_streamer=streamer, message_class=cls, start_soon=start_soon, **known_beforehand)


def text_of_tokens(cls: Any, tokens: Iterable[Any], values: dict[str, Any]) -> Message:
    """A text message made of its tokens; what is no field of the class goes into its metadata."""
    fields, metadata = split_fields(cls, values)
    fields["content"] = "".join(map(str, tokens))
    message: Message = cls(**fields, metadata=metadata)
    return message


def split_fields(cls: Any, values: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Names of the class's fields, and all others, which are metadata."""
    names = cls.__struct_fields__
    metadata = {**values.get("metadata", {}), **{name: value for name, value in values.items() if name not in names}}
    fields = {name: value for name, value in values.items() if name in names and name != "metadata"}
    return fields, metadata if metadata else EMPTY


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
