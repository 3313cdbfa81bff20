"""What an agent says to a client that knows a model alone: its text, and the tool calls that it leaves open."""

from collections.abc import AsyncGenerator, Iterable
from typing import TypeAlias

import msgspec

from miniagents.ext.llms.messages import ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.llms.sound import Halves, sound_message
from miniagents.ext.serving.http.reply_reading import Reader
from miniagents.messages import (
    AssistantMessage,
    Message,
    Messages,
    MessageSequencePromise,
    SystemMessage,
    TextMessage,
    UserMessage,
)

_LENGTH = frozenset({"length", "max_tokens", "model_context_window_exceeded"})
_ASSISTANT = "assistant"
_PLAIN = (TextMessage, UserMessage, SystemMessage)
_FILTERED = frozenset({"content_filter", "refusal"})


class Text(msgspec.Struct, frozen=True, gc=False):
    """A piece of the text of a message. Messages without text are not counted.

    Attributes:
        index: Which message it is, from 0.
        text: The piece.
    """

    index: int
    text: str


class Said(msgspec.Struct, frozen=True):
    """A message is whole.

    Attributes:
        index: Which one it is; None if it had no text.
        message: The message.
    """

    index: int | None
    message: Message


class Calls(msgspec.Struct, frozen=True):
    """The end: tool calls that nobody has answered, which are the client's to make.

    Attributes:
        calls: The calls; () if there are none.
    """

    calls: tuple[ToolCall, ...]


Piece: TypeAlias = Text | Said | Calls


class OpenCalls:
    """The tool calls that nobody has answered (yet)."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[str, ToolCall] = {}

    def saw(self, message: Message) -> None:
        """A message came: it may call tools, or be the result of a call."""
        if isinstance(message, ToolResultMessage):
            self._calls.pop(message.call_id, None)
        elif isinstance(message, ReplyMessage):
            self._calls |= {call.id: call for call in message.tool_calls}

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls."""
        return tuple(self._calls.values())


async def spoken(replies: MessageSequencePromise, reader: Reader | None = None) -> AsyncGenerator[Piece, None]:
    """What an agent says, piece by piece, and `Calls` at the end; each iteration gives the same.

    Tool calls that the agent has had answered itself are its own affair, and so are their results.

    Args:
        replies: What it replies.
        reader: Who gets it as it comes.

    Raises:
        Exception: What the agent failed with.
    """
    count = 0
    calls = OpenCalls()
    async for promise in replies:
        index = None
        if not issubclass(promise.message_class, ToolResultMessage):
            halves = Halves()
            async for token in promise:
                text = str(token)
                if reader is not None:
                    reader.took(text)
                if text := halves.joined(text):
                    if index is None:
                        index = count
                        count += 1
                    yield Text(index, text)
            if text := halves.end():
                if index is None:
                    index = count
                    count += 1
                yield Text(index, text)
        message = sound_message(await promise)
        if reader is not None:
            reader.took(None)
        calls.saw(message)
        if isinstance(message, ToolResultMessage):
            if reader is not None:
                reader.took(str(message))
            continue
        yield Said(index, message)
    yield Calls(calls.calls)


def as_assistant(replies: Iterable[Message]) -> Messages:
    """What an agent replied, as a later turn gets it: whoever said it to the agent, to the client it was the assistant.

    Args:
        replies: The replies. Tool results stay what they are.
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
    """Why an answer stopped, in OpenAI's words."""
    if calls:
        return "tool_calls"
    reason = last.stop_reason if isinstance(last, ReplyMessage) else None
    return "length" if reason in _LENGTH else "content_filter" if reason in _FILTERED else "stop"


def refusal_of(message: Message) -> str | None:
    """What a model said instead of an answer, or None."""
    return message.refusal if isinstance(message, ReplyMessage) else None
