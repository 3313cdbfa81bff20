"""The events of a call, as a stream and a WebSocket tell them; every iteration gives the same ones."""

from collections.abc import AsyncGenerator
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from miniagents.ext.llms.messages import ToolResultMessage
from miniagents.ext.llms.metering import Meter
from miniagents.ext.llms.sound import Halves
from miniagents.ext.serving.http.json_messages import MessageOut, UsageOut
from miniagents.ext.serving.http.reply_reading import Reader
from miniagents.ext.serving.shown import Shown
from miniagents.ext.wire.openai_errors import ErrorBody, ErrorDetail
from miniagents.messages import MessagePromise, MessageSequencePromise


class Opened(msgspec.Struct, frozen=True, tag="open", tag_field="type"):
    """The call is under way.

    Attributes:
        interaction: Its number in the list of interactions; null where it is no call of an agent.
        stream: The name of the stream; null where it cannot be picked up again.
    """

    interaction: int | None
    stream: str | None


class TokenOut(msgspec.Struct, frozen=True, gc=False, tag="token", tag_field="type"):
    """A piece of a message.

    Attributes:
        index: Which message it belongs to, from 0.
        text: The piece.
        kind: What that message is: an answer, structured output (then it is a piece of its JSON), or the result of a
            tool.
    """

    index: int
    text: str
    kind: Literal["text", "data", "tool_result"] = "text"


class MessageWhole(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    """A message is whole.

    Attributes:
        index: Which one it is, from 0.
        message: The message.
    """

    index: int
    message: MessageOut


class Ended(msgspec.Struct, frozen=True, tag="end", tag_field="type"):
    """The call is over; this is the last event.

    Attributes:
        usage: What all models below it used.
    """

    usage: UsageOut


class Failed(msgspec.Struct, frozen=True, tag="error", tag_field="type"):
    """The call failed; this is the last event.

    Attributes:
        error: What went wrong.
        request_id: The id of the request that began the call.
    """

    error: ErrorDetail
    request_id: str | UnsetType = UNSET

    @classmethod
    def of(cls, body: ErrorBody) -> "Failed":
        """The event of an error."""
        return cls(body.error, body.request_id)


Event: TypeAlias = Opened | TokenOut | MessageWhole | Ended | Failed


async def events_of(
    opened: Opened, replies: MessageSequencePromise, meter: Meter, reader: Reader, *, shows_tools: bool
) -> AsyncGenerator[Event, None]:
    """The events of a call, from the first one.

    Args:
        opened: The first one.
        replies: What the agent replies.
        meter: What all models below the call use.
        reader: Who gets them.
        shows_tools: Whether the agent's own tool calls are among them, with their results.

    Raises:
        Exception: What the agent failed with.
    """
    yield opened
    index = 0
    shown = Shown(shows_tools=shows_tools)
    async for promise in replies:
        is_result = issubclass(promise.message_class, ToolResultMessage)
        if shows_tools or not is_result:
            kind, halves = _kind_of(promise), Halves()
            async for token in promise:
                text = str(token)
                reader.took(text)
                if sound := halves.joined(text):
                    yield TokenOut(index, sound, kind)
            if halves.held:
                yield TokenOut(index, halves.end(), kind)
        message = await promise
        if is_result and not shows_tools:
            reader.took(str(message))
        reader.took(None)
        if (out := shown.message(message)) is not None:
            yield MessageWhole(index, out)
            index += 1
    await replies
    if (out := shown.rest()) is not None:
        yield MessageWhole(index, out)
    yield Ended(UsageOut.of(meter))


def _kind_of(promise: MessagePromise) -> Literal["text", "data", "tool_result"]:
    if issubclass(promise.message_class, ToolResultMessage):
        return "tool_result"
    return "data" if "output_type" in promise.known_beforehand else "text"
