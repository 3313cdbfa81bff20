"""What `benchmarks.nodes` places on nodes. Each node imports this module."""

import asyncio
import time
from collections.abc import AsyncIterator

from miniagents import Actor, ActorContext, InteractionContext, Message, TextMessage, miniagent


class Add(Message):
    """A number to add."""

    number: int


class Sum(Message):
    """Ask for the sum."""


class Total(Message):
    """The sum."""

    total: int


class Adder(Actor):
    """Adds numbers."""

    def __init__(self) -> None:
        self.total = 0

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if isinstance(message, Add):
            self.total += message.number
            return None
        return Total(total=self.total)


class BareAdder:
    """The same as a plain async actor of Ray."""

    def __init__(self) -> None:
        self.total = 0

    async def add(self, number: int) -> None:
        """Add a number."""
        self.total += number

    async def sum(self) -> int:
        """Return the sum."""
        return self.total

    async def take(self, *pieces: bytes) -> int:
        """Return the size of what came."""
        return sum(map(len, pieces))


@miniagent
async def clock(ctx: InteractionContext, tokens: int, pause: float) -> None:
    """Streams the time at which each token was made, in nanoseconds."""

    async def stream(_: object) -> AsyncIterator[str]:
        for _ in range(tokens):
            await asyncio.sleep(pause)
            yield f"{time.monotonic_ns()} "

    ctx.reply(TextMessage.promise(message_token_streamer=stream))


@miniagent
async def ticking(ctx: InteractionContext, tokens: int) -> None:
    """Streams tokens flat out."""

    async def stream(_: object) -> AsyncIterator[str]:
        for _ in range(tokens):
            yield "tok "

    ctx.reply(TextMessage.promise(message_token_streamer=stream))
