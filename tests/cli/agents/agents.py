"""Agents for the tests of `miniagents run` and `chat`."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

from miniagents import InteractionContext, TextMessage, miniagent


@miniagent
async def echo(ctx: InteractionContext) -> None:
    """Replies with each message, and prints something that is no reply."""
    print("printed, and no reply")
    for message in await ctx.message_promises:
        ctx.reply(f"You said: {message}")


@miniagent
async def data(ctx: InteractionContext) -> None:
    """Replies with data."""
    ctx.reply({"answer": 42})


@miniagent
async def broken(ctx: InteractionContext) -> None:
    """Fails after its first reply."""
    ctx.reply("begun")
    raise ValueError("no such luck")


@miniagent
async def slow(ctx: InteractionContext) -> None:
    """Begins a reply, and does not end it."""

    async def tokens(_: object) -> AsyncIterator[str]:
        yield "first token"
        await asyncio.Event().wait()

    ctx.reply(TextMessage.promise(message_token_streamer=tokens))


@miniagent
async def evil(ctx: InteractionContext) -> None:
    """Replies with what a terminal would obey."""
    ctx.reply("\x1b]0;a title\x07\x1b[31mred\x1b[2J and more")


if os.environ.get("SLOW_IMPORT"):
    print("importing", flush=True)
    time.sleep(60)


@miniagent
async def says_little(ctx: InteractionContext) -> None:
    """Has a reply without a text between two others."""
    ctx.reply(["first", "", "last"])
