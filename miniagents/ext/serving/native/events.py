"""The events of a call, for streams and WebSockets. Every iteration gives the same events."""

from collections.abc import AsyncGenerator
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from miniagents.ext.llms.messages import ToolResultMessage
from miniagents.ext.llms.metering import Meter
from miniagents.ext.llms.sound import Halves
from miniagents.ext.serving.http.json_messages import UsageOut
from miniagents.ext.serving.http.reply_messages import MessageOut
from miniagents.ext.serving.http.reply_reading import Reader
from miniagents.ext.serving.shown import Shown
from miniagents.ext.wire.openai_errors import ErrorBody, ErrorDetail
from miniagents.messages import MessagePromise, MessageSequencePromise


class Opened(msgspec.Struct, frozen=True, tag="open", tag_field="type"):
    """The first event: the call is under way.

    Attributes:
        interaction: The number of the call in the list of interactions; null if there is no call of an agent.
        stream: The name of the stream; null if it cannot be resumed.
    """

    interaction: int | None
    stream: str | None


class TokenOut(msgspec.Struct, frozen=True, gc=False, tag="token", tag_field="type"):
    """A piece of a message.

    Attributes:
        index: The number of the message, from 0.
        text: The piece.
        kind: The kind of the message: an answer, structured output (the piece is JSON), or the result of a tool.
    """

    index: int
    text: str
    kind: Literal["text", "data", "tool_result"] = "text"


class MessageWhole(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    """A complete message.

    Attributes:
        index: The number of the message, from 0.
        message: The message.
    """

    index: int
    message: MessageOut


class Ended(msgspec.Struct, frozen=True, tag="end", tag_field="type"):
    """The last event of a successful call.

    Attributes:
        usage: The usage of all models below the call.
    """

    usage: UsageOut


class Failed(msgspec.Struct, frozen=True, tag="error", tag_field="type"):
    """The last event of a failed call.

    Attributes:
        error: The error.
        request_id: The id of the request that began the call.
    """

    error: ErrorDetail
    request_id: str | UnsetType = UNSET

    @classmethod
    def of(cls, body: ErrorBody) -> "Failed":
        """Return the event of an error."""
        return cls(body.error, body.request_id)


Event: TypeAlias = Opened | TokenOut | MessageWhole | Ended | Failed


async def events_of(
    opened: Opened, replies: MessageSequencePromise, meter: Meter, reader: Reader, *, shows_tools: bool
) -> AsyncGenerator[Event, None]:
    """Yield the events of a call, from the first one.

    Args:
        opened: The first event.
        replies: The replies of the agent.
        meter: The meter of all models below the call.
        reader: The reader of the events.
        shows_tools: Whether the agent's own tool calls and their results are among the events.

    Raises:
        Exception: The failure of the agent.
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
