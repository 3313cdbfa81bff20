"""Agents for the tests."""

import asyncio
from typing import Any

from miniagents import InteractionContext, MiniAgent, TextMessage, TextToken, miniagent


@miniagent
async def echo(ctx: InteractionContext) -> None:
    """Says what you said."""
    async for message in ctx.message_promises:
        ctx.reply(f"You said: {await message}")


@miniagent
async def speller(ctx: InteractionContext) -> None:
    """Says it letter by letter."""
    text = str(await ctx.message_promises)

    async def letters(_: dict[str, Any]) -> Any:
        for letter in text:
            yield TextToken(letter)

    ctx.reply(TextMessage.promise(message_token_streamer=letters))


@miniagent
async def failing(ctx: InteractionContext) -> None:
    """Fails."""
    raise ValueError("the password is 1234")


@miniagent
async def talker(ctx: InteractionContext) -> None:
    """Says two things."""
    ctx.reply("First this.")
    ctx.reply("Then that.")


@miniagent
async def breaking(ctx: InteractionContext) -> None:
    """Says one word, and fails."""

    async def words(_: dict[str, Any]) -> Any:
        yield TextToken("one ")
        raise ValueError("the password is 1234")

    ctx.reply(TextMessage.promise(message_token_streamer=words))


@miniagent
async def weather(ctx: InteractionContext, city: str, unit: str = "C") -> None:
    """Knows how warm it is."""
    ctx.reply({"city": city, "unit": unit, "degrees": 20})


class Held:
    """An agent that waits, and what happened to its calls.

    Attributes:
        agent: It says "begun", waits until it is let go, and says "done".
        waits: How many calls have begun to wait.
        cancelled: Set once a call was cancelled.
        let_go: Set it, and all calls end.
    """

    def __init__(self, **options: Any) -> None:
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.let_go = asyncio.Event()

        @miniagent(alias="held", **options)
        async def held(ctx: InteractionContext) -> None:
            ctx.reply("begun")
            self.waiting.set()
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            ctx.reply("done")

        self.agent: MiniAgent = held


async def soon(event: asyncio.Event) -> None:
    """Wait for an event; the ceiling is there only so that a failure does not hang."""
    async with asyncio.timeout(10):
        await event.wait()
