"""Promises of messages: they stream tokens and resolve to a message."""

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from typing import Any

from miniagents.errors import AppenderNotOpenError, NotSendableError, PromiseNotReadyError
from miniagents.messages.frozen import EMPTY, FrozenDict, freeze
from miniagents.messages.kinds import ErrorMessage, TextMessage, TextToken, Token, error_text
from miniagents.messages.message import Message
from miniagents.promising import StreamAppender, StreamedPromise
from miniagents.promising.promise import NO_VALUE

MessageTokenStreamer = Callable[[dict[str, Any]], AsyncIterator[Token | str]]
"""Streams the tokens of a message. Its argument is a dict for fields and metadata that are known only at the end."""


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


class SafeMessagePromise(MessagePromise):
    """A message promise whose failure is text: its tokens, a newline and `ValueError: what it said`. It resolves to an
    `ErrorMessage` then.

    Args:
        source: The promise that may fail.
    """

    __slots__ = ("_failed", "_quietly", "_source")

    def __init__(self, source: MessagePromise) -> None:
        self._failed: BaseException | None = None
        self._source = source
        self._quietly = False
        super().__init__(
            message_token_streamer=lambda _: self._tokens(),
            message_class=source.message_class,
            start_soon=False,
            **source.known_beforehand,
        )

    def _start_whole(self) -> None:
        # A token that is taken has been delivered, and cannot be taken back any more.
        self._quietly = self._stream_task is None and self._source.is_retractable
        super()._start_whole()

    def __await__(self) -> Generator[Any, Any, Message]:
        if not self.done():
            self._start_whole()
        return super().__await__()

    async def _tokens(self) -> AsyncIterator[Token]:
        source = self._source
        try:
            if not self._quietly:
                async for token in source:
                    yield token
            message = await source
        except Exception as error:
            self._failed = error
            yield TextToken(f"\n{error_text(error)}")
        else:
            self._resolve(message)  # the same object, not a copy made of its tokens

    def _assembled(self, pieces: Sequence[Token]) -> Message:
        if self._failed is None:
            return super()._assembled(pieces)
        trace = getattr(self._failed, "agent_trace", ())
        return ErrorMessage("".join(map(str, pieces)), agent_trace=tuple(trace))


class MessageTokenAppender(StreamAppender[Token]):
    """The tokens of one message, put in by hand.

    Attributes:
        metadata: A dict for fields and metadata that are known only at the end (usage). Change it, do not replace it.
    """

    def __init__(self, capture_errors: bool = False) -> None:
        super().__init__(capture_errors=capture_errors)
        self.metadata: dict[str, Any] = {}

    def append(self, piece: Token | str) -> "MessageTokenAppender":
        """Put one token in; a str becomes a `TextToken`."""
        if isinstance(piece, str):
            piece = TextToken(piece)
        elif not isinstance(piece, Token):
            raise NotSendableError(f"a token is a Token or a str, not {type(piece).__name__} ({piece!r})")
        super().append(piece)
        return self


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
