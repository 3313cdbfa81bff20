"""Agents in a module that writes to standard output wherever it can, for `miniagents mcp`."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from miniagents import InteractionContext, miniagent

print("a banner of the module")
os.write(1, b"bytes past the file object\n")
subprocess.run([sys.executable, "-c", "print('a child of the module')"], check=True)


@miniagent
async def loud(ctx: InteractionContext) -> None:
    """Prints what it gets."""
    print("loud:", await ctx.message_promises)
    ctx.reply(f"read: {sys.stdin.read()!r}")


@miniagent
async def inner(ctx: InteractionContext) -> None:
    notes = Path(os.environ["NOTES"])
    notes.write_text("waiting")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        notes.write_text("cancelled")
        raise


@miniagent
async def outer(ctx: InteractionContext) -> None:
    """Waits for another agent."""
    ctx.reply(await inner.inquire())


@miniagent
async def slow(ctx: InteractionContext) -> None:
    """Takes a second."""
    ctx.reply("begun")
    await asyncio.sleep(1)
    ctx.reply("done")


agents = [loud, outer]
