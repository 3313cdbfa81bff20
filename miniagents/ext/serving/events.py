"""The events of a call, as a stream and a WebSocket tell them; every iteration gives the same ones."""

from collections.abc import AsyncGenerator
from typing import TypeAlias

import msgspec

from miniagents.ext.serving.plain import MessageOut, UsageOut
from miniagents.ext.serving.reading import Reader
from miniagents.ext.serving.runs import Run
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
    """

    index: int
    text: str


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


async def events_of(run: Run, reader: Reader) -> AsyncGenerator[Event, None]:
    """The events of a call, from the first one.

    Args:
        run: The call.
        reader: Who gets them.

    Raises:
        Exception: What the agent failed with.
    """
    yield Opened(run.interaction.id, run.id)
    index = 0
    async for promise in run.replies:
        async for token in promise:
            text = str(token)
            reader.took(text)
            if text:
                yield TokenOut(index, text)
        reader.took(None)
        yield MessageWhole(index, MessageOut.of(await promise))
        index += 1
    await run.replies
    yield Ended(UsageOut.of(run.meter))
