"""A program that can be asked, for tests of commands: `python -m tests.cli.running.program NAME [block]`.

It has a call that waits, below one that made it, an actor with messages that wait, and two dead letters. It prints
"ready", and runs until its input ends. With `block` its event loop is blocked from then on.
"""

import asyncio
import sys
from typing import Any

from miniagents import Actor, InteractionContext, MiniAgents, TextMessage, miniagent


class Stuck(Actor):
    """Handles its first message until the program ends."""

    async def receive(self, message: Any, ctx: Any) -> None:
        await ended.wait()


ended = asyncio.Event()
waits = asyncio.Event()


@miniagent(alias="evil\x1b[31m\x1b]0;title\x07")
async def waiter(ctx: InteractionContext) -> None:
    """Waits until it is cancelled."""
    waits.set()
    await asyncio.Event().wait()


@miniagent
async def boss(ctx: InteractionContext) -> None:
    """Waits for the other agent."""
    await waiter.inquire("go", label="document 7")


def holds_the_loop() -> None:
    """Block until the input ends."""
    sys.stdin.read()


async def main() -> None:
    """Run the program."""
    async with MiniAgents(name=sys.argv[1], control=True, grace=0.1) as system:
        stuck = system.spawn(Stuck, name="stuck")
        for _ in range(3):
            stuck.tell(TextMessage("x"))
        gone = system.spawn(Stuck, name="gone")
        await gone.stop()
        for _ in range(2):
            gone.tell(TextMessage("too late"))
        replies = boss.trigger("begin", errors_as_messages=True)
        await waits.wait()
        print("ready", flush=True)
        if sys.argv[2:] == ["block"]:
            holds_the_loop()
        else:
            await asyncio.to_thread(sys.stdin.read)
        ended.set()
        await replies.aclose()


if __name__ == "__main__":
    asyncio.run(main())
