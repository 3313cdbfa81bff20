"""Agents that the tests of this folder call."""

import asyncio
from typing import Any

from miniagents import (
    InteractionContext,
    miniagent,
)


@miniagent
async def echo(ctx: InteractionContext) -> None:
    """Says what it was told."""
    async for message in ctx.message_promises:
        ctx.reply(f"echo: {await message}")


@miniagent
async def fails(ctx: InteractionContext, text: str = "bad") -> None:
    ctx.reply("before")
    raise ValueError(text)


@miniagent
async def sleeper(ctx: InteractionContext, log: Any = None, seconds: float = 1000.0) -> None:
    try:
        await asyncio.sleep(seconds)
        ctx.reply("slept")
    except asyncio.CancelledError:
        if log is not None:
            log.append("cancelled")
        raise


@miniagent
class Counter:
    """Counts its calls."""

    def __init__(self, start: int = 0, log: Any = None) -> None:
        self.n = start
        if log is not None:
            log.append("made")

    async def __call__(self, ctx: InteractionContext, crash: bool = False, seconds: float = 0.0) -> None:
        self.n += 1
        await asyncio.sleep(seconds)
        if crash:
            raise RuntimeError("crash")
        ctx.reply(str(self.n))


async def words(promise: Any) -> list[str]:
    return [str(message) for message in await promise]
