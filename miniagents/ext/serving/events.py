"""The events of a call, as a stream and a WebSocket tell them; every iteration gives the same ones."""

from collections.abc import AsyncGenerator
from typing import Literal, TypeAlias

import msgspec

from miniagents.ext.llms.messages import ToolResultMessage
from miniagents.ext.serving.plain import MessageOut, UsageOut
from miniagents.ext.serving.reading import Reader
from miniagents.ext.serving.runs import Run
from miniagents.ext.serving.shown import Shown
from miniagents.ext.wire.openai_errors import ErrorDetail


class Opened(msgspec.Struct, frozen=True, tag="open", tag_field="type"):
    """The call is under way.

    Attributes:
        interaction: Its number in the list of interactions.
        stream: The name of the stream.
    """

    interaction: int
    stream: str


class TokenOut(msgspec.Struct, frozen=True, gc=False, tag="token", tag_field="type"):
    """A piece of a message.

    Attributes:
        index: Which message it belongs to, from 0.
        text: The piece.
        kind: What that message is: an answer, or the result of a tool.
    """

    index: int
    text: str
    kind: Literal["text", "tool_result"] = "text"


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
    """The call failed; this is the last event."""

    error: ErrorDetail


Event: TypeAlias = Opened | TokenOut | MessageWhole | Ended | Failed


async def events_of(run: Run, reader: Reader, *, shows_tools: bool) -> AsyncGenerator[Event, None]:
    """The events of a call, from the first one.

    Args:
        run: The call.
        reader: Who gets them.
        shows_tools: Whether the agent's own tool calls are among them, with their results.

    Raises:
        Exception: What the agent failed with.
    """
    yield Opened(run.interaction.id, run.id)
    index = 0
    shown = Shown(shows_tools=shows_tools)
    async for promise in run.replies:
        is_result = issubclass(promise.message_class, ToolResultMessage)
        if shows_tools or not is_result:
            async for token in promise:
                text = str(token)
                reader.took(text)
                if text:
                    yield TokenOut(index, text, "tool_result" if is_result else "text")
        message = await promise
        if is_result and not shows_tools:
            reader.took(str(message))
        reader.took(None)
        if (out := shown.message(message)) is not None:
            yield MessageWhole(index, out)
            index += 1
    await run.replies
    if (out := shown.rest()) is not None:
        yield MessageWhole(index, out)
    yield Ended(UsageOut.of(run.meter))
