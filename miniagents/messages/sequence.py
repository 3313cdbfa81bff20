"""Sequences of messages: nested messages and promises, flattened into one stream of message promises.

The module is longer than most: a sequence makes its promise, the promise makes what it resolves to, and each has the
public methods of the same concept.
"""

from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from miniagents.errors import NotSendableError, PromiseNotReadyError
from miniagents.messages.frozen import FrozenDict
from miniagents.messages.message import Message, MessagePromise, MessageT_co, TextMessage
from miniagents.messages.promises import SafeMessagePromise
from miniagents.messages.sendable import Sendable, hint, to_message
from miniagents.messages.standard import ErrorMessage
from miniagents.messages.tokens import TextToken, Token
from miniagents.promising import Flattener, Promise, StreamedPromise
from miniagents.promising.promise import NO_VALUE
from miniagents.promising.scope import get_scope, started
from miniagents.promising.streamed import Failure, Replay
from miniagents.promising.waits import Held

M = TypeVar("M", bound=Message)


class Messages(tuple[MessageT_co, ...]):
    """The messages of a sequence. `str(messages)` joins their texts with blank lines.

    Example:
        >>> print(Messages((TextMessage("Hello"), TextMessage("world"))))
        Hello
        <BLANKLINE>
        world
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "\n\n".join(map(str, self))

    @property
    def text(self) -> str:
        """The text of all messages, the same as `str(messages)`."""
        return str(self)


class MessageSequencePromise(StreamedPromise[MessagePromise[MessageT_co], Messages[MessageT_co]]):
    """A promise of a sequence. Iterate over it for the promises of the messages, await it for `Messages`.

    An exception in the sequence is raised at its place, and the same iterator goes on after it. The promise fails with
    the first exception.

    Args:
        errors_as_messages: Exceptions arrive as `ErrorMessage`s instead.

    Example:
        >>> @miniagent
        ... async def echo(ctx):
        ...     ctx.reply("You say:")
        ...     ctx.reply(ctx.message_promises)
        >>> async with MiniAgents():
        ...     replies = echo.inquire("Hello")
        ...     async for message_promise in replies:
        ...         print(await message_promise)
        ...     print(len(await replies))
        You say:
        Hello
        2
    """

    __slots__ = ("_awaited", "_checked", "errors_as_messages")

    def __init__(self, *, errors_as_messages: bool = False) -> None:
        # What the constructors of the bases do, written out: every call of an agent has two of these (benchmark
        # `agent_call`).
        self.settled_value = NO_VALUE
        self.settled_error = None
        self.waiters = self.callbacks = self.producer = self._task = self._resolver = self._scope = None
        self._unseen = self.started_work = None
        self.pieces = []
        self.dropped = 0
        self._keep = self.piece_waiters = self._streamer = self.stream_task = self._whole = None
        self.flattener = self.pause = self.tap = None
        self.finished = False
        self.errors_as_messages: bool = errors_as_messages
        self._checked = 0
        self._awaited = False

    @classmethod
    def of_one(cls, message: M, *, errors_as_messages: bool) -> "MessageSequencePromise[M]":
        """Return a promise that has resolved to one message."""
        promise: Any = cls(errors_as_messages=errors_as_messages)
        promise.pieces = (MessagePromise.of(message),)
        promise.finished = True
        promise.settled_value = Messages((message,))
        return promise  # type: ignore[no-any-return]

    def answer(self) -> "MessageSequencePromise[MessageT_co]":
        """Return the messages that are the answer: all but tool calls and their results, which are `is_aside`.

        The messages stream as they come. To cancel the returned promise cancels this one.
        """
        answer = AnswerPromise(self)
        sequence = MessageSequence(promise=answer)
        sequence.open()
        sequence.append(_answers(self))
        sequence.close()
        return answer

    def first_now(self, unknown: object) -> object:
        """Return the first message without waiting, None if there is none.

        Args:
            unknown: What to return while the first message is on its way, or if it failed.
        """
        if not self.pieces:
            return None if self.finished else unknown
        first = self.pieces[0]
        return (
            first.result() if isinstance(first, Promise) and first.done() and first.settled_error is None else unknown
        )

    def as_single_text_promise(self, **options: Any) -> MessagePromise[TextMessage]:
        """Join all messages into one text; see `miniagents.as_single_text_promise`."""
        return joined(self, **options)

    def __str__(self) -> str:
        if not self.done():
            raise PromiseNotReadyError(f"the text of {self!r} was asked for before it resolved: await it first")
        return str(self.result())

    def __await__(self) -> Generator[Any, Any, Messages[MessageT_co]]:
        self._awaited = True
        return super().__await__()

    def start_whole(self) -> None:
        self._awaited = True
        super().start_whole()

    def push_error(self, error: BaseException) -> None:
        if self.errors_as_messages and isinstance(error, Exception):
            trace = tuple(getattr(error, "agent_trace", ()))
            message: Any = ErrorMessage.of(error, agent_trace=trace)  # beside the type of the messages
            self.push_piece(message.as_promise)
        else:
            super().push_error(error)

    def _complete(self) -> None:
        """Check the messages in order. The promise settles with the last message or with the first error."""
        pieces: Sequence[Any] = self.pieces
        if self.settled_value is NO_VALUE and self.settled_error is None:
            values = [piece.settled_value for piece in pieces if type(piece) is not Failure]
            if len(values) == len(pieces) and NO_VALUE not in values:  # the usual case: all messages are there
                self.resolve(Messages(values))
                return
        while self._checked < len(pieces) and not self.done():
            piece = pieces[self._checked]
            if type(piece) is Failure:
                self.reject(piece.error)
                return
            if not piece.done():
                if self._awaited:
                    # An awaiter of the whole wants every message at once, the lazy ones too.
                    for later in pieces[self._checked :]:
                        if type(later) is not Failure and not later.done():
                            later.start_whole()
                if not piece.done():
                    piece.add_done_callback(self._message_is_there)
                    self.look_again()  # from now on the awaiters wait for this message
                    return
            if piece.settled_error is not None:
                was_seen = piece.was_seen() or getattr(piece.settled_error, "__miniagents_seen__", False)
                piece.mark_seen()
                if was_seen:
                    self.mark_seen()  # the code that awaited the message has received it
                self.reject(piece.settled_error)
                return
            self._checked += 1
        if not self.done():
            self.resolve(Messages([piece.settled_value for piece in pieces]))

    def speaker(self, at: int | None) -> object:
        """Return the node whose code, or whose work, may still add a missing message; None if there is none."""
        flat = self.flattener
        return flat.fed_by if flat is not None and flat.is_open else None

    def held_by(self, at: int | None) -> Held | None:
        if at is not None or not self.finished or self._checked >= len(self.pieces):
            return super().held_by(at)
        piece = self.pieces[self._checked]
        return None if type(piece) is Failure else (True, ((piece, None),))

    def _message_is_there(self, _: object) -> None:
        if not self.done():
            self._complete()


class AnswerPromise(MessageSequencePromise[MessageT_co]):
    """The messages of a sequence that are the answer: see `MessageSequencePromise.answer`.

    Args:
        whole: The sequence.

    Attributes:
        whole: The sequence.
    """

    __slots__ = ("whole",)

    def __init__(self, whole: MessageSequencePromise[MessageT_co]) -> None:
        super().__init__(errors_as_messages=whole.errors_as_messages)
        self.whole = whole
        self.owns(whole)

    def resolve(self, value: Messages[MessageT_co]) -> bool:
        # A reply whose first token was there may have started again since, and call tools now.
        return super().resolve(Messages(message for message in value if not message.is_aside))


def joined(
    messages: "MessageSequencePromise",
    *,
    delimiter: str | None = "\n\n",
    strip_leading_newlines: bool = False,
    reference_original_messages: bool = True,
    start_soon: bool = False,
    message_class: type[TextMessage] = TextMessage,
    **known_beforehand: Any,
) -> MessagePromise[TextMessage]:
    """Join the messages of a sequence into one text; see `miniagents.as_single_text_promise`."""

    async def tokens(late: dict[str, Any]) -> AsyncIterator[Token]:
        originals = []
        first = True
        async for message_promise in messages:
            if delimiter and not first:
                yield TextToken(delimiter)
            first = False
            at_beginning = strip_leading_newlines
            async for token in message_promise:
                if at_beginning:
                    text = str(token).lstrip("\r\n")
                    if not text:
                        continue
                    at_beginning = False
                    token = TextToken(text)
                yield token
            message = await message_promise
            originals.append(message)
            late.update(message.metadata)
        if reference_original_messages:
            late["original_messages"] = tuple(originals)

    return message_class.promise(message_token_streamer=tokens, start_soon=start_soon, **known_beforehand)


class MessageSequence(Flattener[Any, MessagePromise]):
    """The builder of a sequence.

    Args:
        errors_as_messages: Exceptions arrive as `ErrorMessage`s; None for the setting of the current system.
        appender_capture_errors: An exception in the `with` block of the appender becomes part of the sequence instead
            of leaving the block.
        promise: The promise to fill, if it is there already.

    Attributes:
        sequence_promise: The promise of the flat sequence.

    Example:
        >>> async with MiniAgents():
        ...     sequence = MessageSequence()
        ...     with sequence.message_appender as appender:
        ...         _ = appender.append("one").append(["two", ["three"]])
        ...     print([str(message) for message in await sequence.sequence_promise])
        ['one', 'two', 'three']
    """

    __slots__ = ("_appender", "_capture_errors", "_persist")

    sequence_promise: MessageSequencePromise

    def __init__(
        self,
        *,
        errors_as_messages: bool | None = None,
        appender_capture_errors: bool = False,
        promise: MessageSequencePromise | None = None,
    ) -> None:
        scope = get_scope()
        context = scope.promising_context if scope is not None else None
        if promise is None:
            if errors_as_messages is None:
                errors_as_messages = getattr(context, "errors_as_messages", False)
            promise = MessageSequencePromise(errors_as_messages=errors_as_messages)
            started(promise, scope)
        # What the constructor of the base does, written out (benchmark `agent_call`).
        self.sequence_promise = promise
        promise.flattener = self
        self._line = self.scope = self._tasks = self.fed_by = None
        self._busy = self._was_open = self._closed = False
        self._beside = 0
        self._persist = context.message_resolved if context is not None and context.persists_messages else None
        self._capture_errors = appender_capture_errors
        self._appender: MessageSequenceAppender | None = None

    @property
    def message_appender(self) -> "MessageSequenceAppender":
        """The appender of the sequence."""
        if self._appender is None:
            self._appender = MessageSequenceAppender(self, capture_errors=self._capture_errors)
        return self._appender

    @classmethod
    def turn_into_sequence_promise(
        cls, messages: Sendable, *, errors_as_messages: bool | None = None
    ) -> MessageSequencePromise:
        """Make a flat sequence of anything that can be sent.

        Args:
            messages: The messages. A sequence with the same `errors_as_messages` is returned as it is.
            errors_as_messages: Exceptions arrive as `ErrorMessage`s; None for the setting of the current system.

        Raises:
            NotSendableError: `messages` cannot be sent.
        """
        if isinstance(messages, MessageSequencePromise) and (
            errors_as_messages is None or errors_as_messages is messages.errors_as_messages
        ):
            return messages
        if messages.__class__ is str or isinstance(messages, Message):
            scope = get_scope()
            if errors_as_messages is not None and (scope is None or not scope.promising_context.persists_messages):
                message = TextMessage(messages) if isinstance(messages, str) else messages
                return MessageSequencePromise.of_one(message, errors_as_messages=errors_as_messages)
        sequence = cls(errors_as_messages=errors_as_messages)
        sequence.open()
        sequence.send(messages)
        sequence.close()
        return sequence.sequence_promise

    def send(self, messages: Sendable, *, out_of_order: bool = False) -> None:
        """Append messages. A list or dict in them may be changed afterwards, since it is copied.

        Args:
            messages: Anything that can be sent.
            out_of_order: Deliver each message as soon as it is ready, whatever was appended before.

        Raises:
            NotSendableError: `messages` cannot be sent.
            AppenderNotOpenError: The sequence was never opened.
            AppenderClosedError: The sequence was closed.
        """
        # Two usual cases in which there is nothing to wait for: one piece, and a sequence that is all there.
        is_open = self._was_open and not self._closed and not self._busy
        if is_open and (messages.__class__ is str or isinstance(messages, Message)):
            self.sequence_promise.push_piece(self._leaf(messages))  # type: ignore[arg-type]
        elif is_open and isinstance(messages, MessageSequencePromise) and messages.finished:
            for piece in messages.pieces:
                if type(piece) is Failure:
                    self.sequence_promise.push_error(piece.error)
                else:
                    self.sequence_promise.push_piece(self._leaf(piece))  # type: ignore[arg-type]
        else:
            self.append(_snapshot(messages), out_of_order=out_of_order)

    def _leaf(self, item: object) -> MessagePromise | None:
        if type(item) is MessagePromise:
            if self.sequence_promise.errors_as_messages and not (item.done() and item.settled_error is None):
                return SafeMessagePromise(item)
            return item
        if isinstance(item, (str, Message, dict, FrozenDict)):
            message = TextMessage(item) if type(item) is str else to_message(item)
            if self._persist is not None:
                self._persist(message)
            return MessagePromise.of(message)
        if isinstance(item, MessagePromise):
            if (
                self.sequence_promise.errors_as_messages
                and not isinstance(item, SafeMessagePromise)
                and not (item.done() and item.settled_error is None)
            ):
                return SafeMessagePromise(item)
            return item
        if isinstance(item, (Promise, BaseException)) or _is_iterable(item):
            return None
        return MessagePromise.of(to_message(item))  # raises, and says what can be sent


class MessageSequenceAppender:
    """The appender of a sequence. It is open inside its `with` block and closed after it.

    Args:
        sequence: The sequence.
        capture_errors: An exception in the block becomes part of the sequence instead of leaving the block.

    Example:
        >>> async with MiniAgents():
        ...     sequence = MessageSequence()
        ...     with sequence.message_appender as appender:
        ...         _ = appender.append("Hello").append(["and", "goodbye"])
        ...     print([str(message) for message in await sequence.sequence_promise])
        ['Hello', 'and', 'goodbye']
    """

    __slots__ = ("_capture_errors", "_sequence")

    def __init__(self, sequence: MessageSequence, *, capture_errors: bool = False) -> None:
        self._sequence = sequence
        self._capture_errors = capture_errors

    @property
    def was_open(self) -> bool:
        """True if the appender was ever opened."""
        return self._sequence.was_open

    @property
    def is_open(self) -> bool:
        """True if the appender takes messages now."""
        return self._sequence.is_open

    def open(self) -> Self:
        """Take messages from now on.

        Raises:
            AppenderClosedError: The appender was closed.
        """
        self._sequence.open()
        return self

    def append(self, messages: Sendable, *, out_of_order: bool = False) -> Self:
        """Append messages: see `MessageSequence.send`.

        Args:
            messages: Anything that can be sent. A list or dict may be changed afterwards, since it is copied.
            out_of_order: Deliver each message as soon as it is ready, whatever was appended before.

        Raises:
            NotSendableError: `messages` cannot be sent.
            AppenderNotOpenError: The appender was never opened.
            AppenderClosedError: The appender was closed.
        """
        self._sequence.send(messages, out_of_order=out_of_order)
        return self

    def append_out_of_order(self, messages: Sendable) -> Self:
        """Call `append(messages, out_of_order=True)`."""
        return self.append(messages, out_of_order=True)

    def close(self, error: BaseException | None = None) -> bool:
        """End the sequence. Closing again is harmless.

        Args:
            error: The exception that left the `with` block, or None.

        Returns:
            Whether `error` became part of the sequence, so that it need not be raised.
        """
        captured = error is not None and self._capture_errors
        if captured and self._sequence.is_open:
            self._sequence.append(error)
        self._sequence.close()
        return captured

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> bool:
        return self.close(error)

    async def __aenter__(self) -> Self:
        raise RuntimeError(f"use `with {type(self).__name__}():` instead of `async with {type(self).__name__}():`")

    async def __aexit__(self, *_: object) -> None:
        """Is never reached, since `__aenter__` raises."""


async def _answers(replies: MessageSequencePromise) -> AsyncIterator[MessagePromise]:
    async for promise in replies:
        if promise.message_class.is_aside is True:
            continue
        # The first token tells whether the message has a text. A `Replay` does not count as a reader: a reply that may
        # start again until a token has been read still may.
        async for token in Replay(promise):
            if str(token):
                break
        else:
            if (await promise).is_aside:
                continue
        yield promise


def _is_iterable(item: object) -> bool:
    return isinstance(item, (Iterable, AsyncIterable)) and not isinstance(item, (bytes, bytearray, memoryview))


def _snapshot(item: object) -> object:
    """Copy lists, sets and dicts, which the sender may change afterwards."""
    kind = item.__class__
    if kind is str or isinstance(item, (Message, Promise, BaseException)):
        return item
    if type(item) is list or type(item) is tuple:
        return tuple([_snapshot(inner) for inner in item])
    if isinstance(item, (str, dict, FrozenDict)):
        return to_message(item)
    if isinstance(item, (set, frozenset)):
        return tuple([_snapshot(inner) for inner in item])
    if _is_iterable(item):
        return item
    raise NotSendableError(
        f"a {kind.__name__} cannot be sent ({item!r}): send a str, a dict, a Message, a promise, an exception, or an "
        f"iterable or async iterable of these{hint(item)}"
    )
