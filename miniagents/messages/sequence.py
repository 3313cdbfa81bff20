"""Sequences of messages: whatever is sent, flattened into one stream of message promises."""

from collections.abc import AsyncIterable, AsyncIterator, Collection, Generator, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from miniagents.errors import NotSendableError, PromiseNotReadyError
from miniagents.messages.frozen import FrozenDict
from miniagents.messages.message import Message
from miniagents.messages.promises import MessagePromise, SafeMessagePromise
from miniagents.messages.sendable import Sendable, hint, to_message
from miniagents.messages.standard import ErrorMessage, TextMessage, TextToken, Token
from miniagents.promising import Flattener, Promise, StreamedPromise
from miniagents.promising.promise import NO_VALUE
from miniagents.promising.scope import get_scope, started
from miniagents.promising.streamed import Failure, Replay


class Messages(tuple[Message, ...]):
    """The messages of a sequence. `str()` is their text, joined by blank lines."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n\n".join(str(message) for message in self)


class MessageSequencePromise(StreamedPromise[MessagePromise, Messages]):
    """A promise of a sequence: iterate it for the promises of its messages, await it for `Messages`.

    An exception in the sequence is raised at its place, and the same iterator goes on with what comes after it; the
    whole fails with the first one.

    Args:
        errors_as_messages: Exceptions arrive as `ErrorMessage`s instead.
    """

    __slots__ = ("_awaited", "_checked", "errors_as_messages")

    def __init__(self, *, errors_as_messages: bool = False) -> None:
        # What the constructors above it do, written out: every call of an agent has two of these (benchmark
        # `agent_call`).
        self._value = NO_VALUE
        self._error = None
        self._waiters = self._callbacks = self._producer = self._task = self._resolver = self._scope = None
        self._unseen = self._started = None
        self._pieces = []
        self._dropped = 0
        self._keep = self._piece_waiters = self._streamer = self._stream_task = self._whole = None
        self._flat = self._pause = self._tap = None
        self._finished = False
        self.errors_as_messages = errors_as_messages
        self._checked = 0
        self._awaited = False

    @classmethod
    def of_one(cls, message: Message, *, errors_as_messages: bool) -> "MessageSequencePromise":
        """A sequence of one message that is there."""
        promise = cls(errors_as_messages=errors_as_messages)
        promise._pieces = (MessagePromise.of(message),)
        promise._finished = True
        promise._value = Messages((message,))
        return promise

    def answer(self) -> "MessageSequencePromise":
        """The messages that are an answer: without tool calls and their results, which are `is_aside`. They stream as
        they come. To cancel it is to cancel what it is the answer of.

        Example:
            `print(await agent.inquire("How many people live in Paris?").answer())`
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
        if not self._pieces:
            return None if self._finished else unknown
        first = self._pieces[0]
        return first.result() if isinstance(first, Promise) and first.done() and first._error is None else unknown

    def as_single_text_promise(self, **options: Any) -> MessagePromise:
        """All messages as one text; see `as_single_text_promise`."""
        return joined(self, **options)

    def __str__(self) -> str:
        if not self.done():
            raise PromiseNotReadyError(f"the text of {self!r} was asked for before it resolved: await it first")
        return str(self.result())

    def __await__(self) -> Generator[Any, Any, Messages]:
        self._awaited = True
        if self._finished and not self.done():
            self._complete()
        return super().__await__()

    def _push_error(self, error: BaseException) -> None:
        if self.errors_as_messages and isinstance(error, Exception):
            trace = tuple(getattr(error, "agent_trace", ()))
            self._push(ErrorMessage.of(error, agent_trace=trace).as_promise)
        else:
            super()._push_error(error)

    def _complete(self) -> None:
        """Go on through the messages in order; the whole settles with the last of them, or with the first error."""
        pieces: Sequence[Any] = self._pieces
        if self._value is NO_VALUE and self._error is None:
            values = [piece._value for piece in pieces if type(piece) is not Failure]
            if len(values) == len(pieces) and NO_VALUE not in values:  # the usual case: all of them are there
                self._resolve(Messages(values))
                return
        while self._checked < len(pieces) and not self.done():
            piece = pieces[self._checked]
            if type(piece) is Failure:
                self._reject(piece.error)
                return
            if not piece.done():
                if self._awaited:
                    # Whoever awaits the whole wants every message, lazy ones too, and not one after the other.
                    for later in pieces[self._checked :]:
                        if type(later) is not Failure and not later.done():
                            later._start_whole()
                if not piece.done():
                    piece._add_done_callback(self._message_is_there)
                    self._look_again()  # from now on it is this message that is waited for
                    return
            if piece._error is not None:
                was_seen = piece._was_looked_at() or getattr(piece._error, "__miniagents_seen__", False)
                piece._look()
                if was_seen:
                    self._look()  # whoever was told of it by the message need not be told again
                self._reject(piece._error)
                return
            self._checked += 1
        if not self.done():
            self._resolve(Messages([piece._value for piece in pieces]))

    def _speaker(self, at: int | None) -> Any:
        """The node whose code may still say something that is missing, itself or by what it has started; or None."""
        flat = self._flat
        return flat.fed_by if flat is not None and flat.is_open else None

    def _held_by(self, at: int | None) -> tuple[bool, Collection[Any]] | None:
        if at is not None or not self._finished or self._checked >= len(self._pieces):
            return super()._held_by(at)
        piece = self._pieces[self._checked]
        return None if type(piece) is Failure else (True, ((piece, None),))

    def _message_is_there(self, _: Any) -> None:
        if not self.done():
            self._complete()


class AnswerPromise(MessageSequencePromise):
    """The messages of a sequence that are an answer.

    Args:
        whole: The sequence.

    Attributes:
        whole: The sequence.
    """

    __slots__ = ("whole",)

    def __init__(self, whole: MessageSequencePromise) -> None:
        super().__init__(errors_as_messages=whole.errors_as_messages)
        self.whole = whole
        self._owns(whole)

    def _resolve(self, value: Messages) -> bool:
        # One whose first token was there may have begun again meanwhile, and call tools now.
        return super()._resolve(Messages(message for message in value if not message.is_aside))


def joined(
    messages: "MessageSequencePromise",
    *,
    delimiter: str | None = "\n\n",
    strip_leading_newlines: bool = False,
    reference_original_messages: bool = True,
    start_soon: bool = False,
    message_class: type[TextMessage] = TextMessage,
    **known_beforehand: Any,
) -> MessagePromise:
    """The messages of a sequence as one text; see `as_single_text_promise`."""

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
    """Builds a sequence: `with sequence.message_appender as appender: appender.append(...)`.

    Args:
        errors_as_messages: Exceptions arrive as `ErrorMessage`s; None for what the current system says.
        appender_capture_errors: An exception in the `with` block becomes part of the sequence instead of leaving it.
        promise: The promise to fill, if it is there already.

    Attributes:
        sequence_promise: The flat sequence.
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
        # What the constructor above does, written out (benchmark `agent_call`).
        self.sequence_promise = promise
        promise._flat = self
        self._line = self._scope = self._tasks = self.fed_by = None
        self._busy = self._was_open = self._closed = False
        self._beside = 0
        self._persist = context._message_resolved if context is not None and context._persists else None
        self._capture_errors = appender_capture_errors
        self._appender: MessageSequenceAppender | None = None

    @property
    def message_appender(self) -> "MessageSequenceAppender":
        """Where messages are put in."""
        if self._appender is None:
            self._appender = MessageSequenceAppender(self, capture_errors=self._capture_errors)
        return self._appender

    @classmethod
    def turn_into_sequence_promise(
        cls, messages: Sendable, *, errors_as_messages: bool | None = None
    ) -> MessageSequencePromise:
        """Anything that can be sent, as a flat sequence.

        Args:
            messages: What to send; a sequence stays as it is.
            errors_as_messages: Exceptions arrive as `ErrorMessage`s; None for what the current system says.

        Raises:
            NotSendableError: It cannot be sent.
        """
        if isinstance(messages, MessageSequencePromise) and (
            errors_as_messages is None or errors_as_messages is messages.errors_as_messages
        ):
            return messages
        if messages.__class__ is str or isinstance(messages, Message):
            scope = get_scope()
            if errors_as_messages is not None and (scope is None or not scope.promising_context._persists):
                message = TextMessage(messages) if isinstance(messages, str) else messages
                return MessageSequencePromise.of_one(message, errors_as_messages=errors_as_messages)
        sequence = cls(errors_as_messages=errors_as_messages)
        sequence.open()
        sequence.send(messages)
        sequence.close()
        return sequence.sequence_promise

    def send(self, messages: Sendable, *, out_of_order: bool = False) -> None:
        """Put something in: what counts is what is in it now.

        Raises:
            NotSendableError: It cannot be sent.
        """
        if not self._busy and self.is_open and (messages.__class__ is str or isinstance(messages, Message)):
            self.sequence_promise._push(self._leaf(messages))  # nothing to flatten, and nobody to wait for
        else:
            self.append(_snapshot(messages), out_of_order=out_of_order)

    def _leaf(self, item: Any) -> Any:
        kind = item.__class__
        if kind is MessagePromise:
            if self.sequence_promise.errors_as_messages and not (item.done() and item._error is None):
                return SafeMessagePromise(item)
            return item
        if kind is str or isinstance(item, (str, Message, dict, FrozenDict)):
            message = TextMessage(item) if kind is str else to_message(item)
            if self._persist is not None:
                self._persist(message)
            return MessagePromise.of(message)
        if isinstance(item, MessagePromise):
            if (
                self.sequence_promise.errors_as_messages
                and not isinstance(item, SafeMessagePromise)
                and not (item.done() and item._error is None)
            ):
                return SafeMessagePromise(item)
            return item
        if isinstance(item, (Promise, BaseException)) or _is_iterable(item):
            return NotImplemented
        return MessagePromise.of(to_message(item))  # raises, and says what can be sent


class MessageSequenceAppender:
    """Where the messages of a sequence are put in. It is open inside `with`, and closed after it.

    Args:
        flat: What flattens them.
        capture_errors: An exception in the block becomes part of the sequence instead of leaving it.
    """

    __slots__ = ("_capture_errors", "_flat")

    def __init__(self, flat: MessageSequence, *, capture_errors: bool = False) -> None:
        self._flat = flat
        self._capture_errors = capture_errors

    @property
    def was_open(self) -> bool:
        """Whether it was ever opened."""
        return self._flat.was_open

    @property
    def is_open(self) -> bool:
        """Whether it takes messages now."""
        return self._flat.is_open

    def open(self) -> Self:
        """Take messages from now on."""
        self._flat.open()
        return self

    def append(self, messages: Sendable, *, out_of_order: bool = False) -> Self:
        """Put something in: see `Sendable`.

        Args:
            messages: A list or dict in it may be changed afterwards: what counts is what is in it now.
            out_of_order: Deliver it as it becomes ready, whatever comes before it.

        Raises:
            NotSendableError: It cannot be sent.
        """
        self._flat.send(messages, out_of_order=out_of_order)
        return self

    def append_out_of_order(self, messages: Sendable) -> Self:
        """The same as `append(messages, out_of_order=True)`."""
        return self.append(messages, out_of_order=True)

    def close(self, error: BaseException | None = None) -> bool:
        """No more messages. Closing again is harmless.

        Returns:
            Whether `error` was captured.
        """
        captured = error is not None and self._capture_errors
        if captured and self._flat.is_open:
            self._flat.append(error)
        self._flat.close()
        return captured

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> bool:
        return self.close(error)

    async def __aenter__(self) -> Self:
        raise RuntimeError(f"use `with {type(self).__name__}():` instead of `async with {type(self).__name__}():`")

    async def __aexit__(self, *_: object) -> None:
        """Never reached: `__aenter__` raises."""


async def _answers(replies: MessageSequencePromise) -> AsyncIterator[MessagePromise]:
    async for promise in replies:
        if promise.message_class.is_aside is True:
            continue
        # Whether it says anything is known with its first token. To look at that is not to take it: what may start
        # again as long as nobody has seen a token of it may do so still.
        async for token in Replay(promise):
            if str(token):
                break
        else:
            if (await promise).is_aside:
                continue
        yield promise


def _is_iterable(item: Any) -> bool:
    return isinstance(item, (Iterable, AsyncIterable)) and not isinstance(item, (bytes, bytearray, memoryview))


def _snapshot(item: Any) -> Any:
    """The same, as it is now: the sender may change its lists and dicts afterwards."""
    kind = item.__class__
    if kind is str or isinstance(item, (Message, Promise, BaseException)):
        return item
    if kind is list or kind is tuple:
        return tuple([_snapshot(one) for one in item])
    if isinstance(item, (str, dict, FrozenDict)):
        return to_message(item)
    if isinstance(item, (set, frozenset)):
        return tuple([_snapshot(one) for one in item])
    if _is_iterable(item):
        return item
    raise NotSendableError(
        f"a {kind.__name__} cannot be sent ({item!r}): send a str, a dict, a Message, a promise, an exception, or an "
        f"iterable or async iterable of these{hint(item)}"
    )
