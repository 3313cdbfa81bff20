"""The replies of an agent as those of a model: texts, and the tool calls that are left to the client."""

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import TypeAlias

import msgspec

from miniagents.ext.llms.messages import ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.llms.parts import PartToken, ReasoningMessage, ReasoningToken
from miniagents.ext.llms.sound import Halves, sound, sound_message
from miniagents.ext.serving.http.reply_reading import Reader
from miniagents.messages import (
    AssistantMessage,
    Message,
    Messages,
    MessageSequencePromise,
    SystemMessage,
    TextMessage,
    TextToken,
    Token,
    UserMessage,
)

_LENGTH = frozenset({"length", "max_tokens", "model_context_window_exceeded"})
_ASSISTANT = "assistant"
_PLAIN = (TextMessage, UserMessage, SystemMessage)
_FILTERED = frozenset({"content_filter", "refusal"})


class Text(msgspec.Struct, frozen=True, gc=False):
    """A piece of the text of a message.

    Attributes:
        index: The number of the message, from 0. Messages without text are not counted.
        text: The piece.
    """

    index: int
    text: str


class Thought(msgspec.Struct, frozen=True):
    """A piece of a model's reasoning.

    Attributes:
        text: The piece.
        whole: The whole block, after its last piece; None before.
    """

    text: str
    whole: ReasoningMessage | None = None


class Said(msgspec.Struct, frozen=True):
    """The end of a message.

    Attributes:
        index: The number of the message; None if it has no text.
        message: The message.
    """

    index: int | None
    message: Message


class Calls(msgspec.Struct, frozen=True):
    """The last piece: the tool calls without a result, which are left to the client.

    Attributes:
        calls: The calls; () if there are none.
    """

    calls: tuple[ToolCall, ...]


Piece: TypeAlias = Text | Thought | Said | Calls


class OpenCalls:
    """The tool calls without a result (so far)."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[str, ToolCall] = {}

    def saw(self, message: Message) -> None:
        """Count a message: it may call tools, or be the result of a call."""
        if isinstance(message, ToolResultMessage):
            self._calls.pop(message.call_id, None)
        elif isinstance(message, ReplyMessage):
            self._calls |= {call.id: call for call in message.tool_calls}

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The open calls."""
        return tuple(self._calls.values())


async def spoken(
    replies: MessageSequencePromise,
    reader: Reader | None = None,
    *,
    is_whole: Callable[[type[Message]], bool] | None = None,
    has_results: bool = False,
    has_thoughts: bool = False,
) -> AsyncGenerator[Piece, None]:
    """Yield the pieces of the replies of an agent, and `Calls` as the last piece, when the call has ended. Each
    iteration yields the same pieces.

    Tool calls that have a result are left out.

    Args:
        replies: The replies.
        reader: The reader of the pieces.
        is_whole: Returns whether the messages of a class come as `Said` alone, without pieces of text. None for pieces
            of all messages.
        has_results: Whether the results of tools come too, as `Said` alone. Otherwise they are left out.
        has_thoughts: Whether the reasoning of models is among the pieces.

    Raises:
        Exception: The failure of the agent.
    """
    count = 0
    calls: OpenCalls | None = None  # until the first message has ended: live streams are many
    async for promise in replies:
        index = None
        kind = promise.message_class
        is_silent = issubclass(kind, ToolResultMessage) or (is_whole is not None and is_whole(kind))
        if not is_silent:
            halves: Halves | None = None
            async for token in promise:
                text = token.content if type(token) is TextToken else str(token)  # benchmark `serving`
                if reader is not None:
                    reader.took(token.content if type(token) is ReasoningToken else text)
                if not text and has_thoughts and (thought := _thought(token)) is not None:
                    yield thought
                    continue
                if halves is not None or not text.isascii():
                    halves = halves if halves is not None else Halves()
                    text = halves.joined(text)
                if text:
                    if index is None:
                        index = count
                        count += 1
                    yield Text(index, text)
            if halves is not None and (text := halves.end()):
                if index is None:
                    index = count
                    count += 1
                yield Text(index, text)
        message = sound_message(await promise)
        if reader is not None:
            reader.took(None)
            if is_silent:
                reader.took(str(message))
        calls = calls if calls is not None else OpenCalls()
        calls.saw(message)
        if has_results or not isinstance(message, ToolResultMessage):
            yield Said(index, message)
    await replies  # until the interaction has ended, and its usage is known
    yield Calls(calls.calls if calls is not None else ())


def _thought(token: Token) -> Thought | None:
    if isinstance(token, ReasoningToken):
        return Thought(sound(token.content))
    part = token.part if isinstance(token, PartToken) else None
    return Thought("", part) if isinstance(part, ReasoningMessage) else None


def as_assistant(replies: Iterable[Message]) -> Messages:
    """Return replies in the form for a later turn: for the client, each of them was said by the assistant.

    Args:
        replies: The replies. Results of tools stay as they are.
    """
    return Messages(map(_as_assistant, replies))


def _as_assistant(message: Message) -> Message:
    if not isinstance(message, TextMessage):
        return message.with_metadata(role=_ASSISTANT)
    if message.role == _ASSISTANT or isinstance(message, ToolResultMessage):
        return message
    if type(message) in _PLAIN:
        return AssistantMessage(message.content, metadata=message.metadata)
    return msgspec.structs.replace(message, role=_ASSISTANT)


def finish_reason(last: Message | None, calls: tuple[ToolCall, ...]) -> str:
    """Return the reason why an answer stopped, in the terms of OpenAI's API."""
    if calls:
        return "tool_calls"
    reason = last.stop_reason if isinstance(last, ReplyMessage) else None
    return "length" if reason in _LENGTH else "content_filter" if reason in _FILTERED else "stop"


def refusal_of(message: Message) -> str | None:
    """Return the refusal of a model, in place of an answer; or None."""
    return message.refusal if isinstance(message, ReplyMessage) else None
