"""A program with a journal, for tests of commands: `python -m tests.cli.operate.program JOURNAL`.

It has a job that waits for an approval of the same name, a second job that works without end, and two dead letters of
its durable actor. It prints "ready", then what happens, and runs until its input ends.
"""

import asyncio
import sys

from miniagents import (
    Actor,
    ActorContext,
    InteractionContext,
    Message,
    MiniAgents,
    SpawnOptions,
    TextMessage,
    miniagent,
)
from miniagents.journal import Accept, Bury, Count, SqliteJournal
from miniagents.messages import encode


class Approval(TextMessage, tag="tests.program:Approval"):
    """An approval."""

    approved: bool = False


@miniagent
async def publisher(ctx: InteractionContext) -> None:
    """Asks whether it may publish."""
    approval = await ctx.wait_for("approval", prompt="Publish it?", type=Approval)
    print(f"approved: {approval.approved}", flush=True)


@miniagent
async def writer(ctx: InteractionContext) -> None:
    """Works until it is cancelled."""
    started.set()
    try:
        await asyncio.Event().wait()
    finally:
        print("the writer has ended", flush=True)


class Counter(Actor):
    """Prints what it gets."""

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        print(f"got {message}", flush=True)


started = asyncio.Event()


async def main() -> None:
    """Run the program."""
    journal = SqliteJournal(sys.argv[1])
    async with MiniAgents(journal=journal, grace=0.1) as system:
        is_first_run = not (await journal.read(Count())).jobs
        jobs = [
            system.run_job("job-42", writer, "a book", errors_as_messages=True),
            system.run_job("job-43", publisher, errors_as_messages=True),
        ]
        system.spawn(Counter, name="counter", options=SpawnOptions(durable=True))
        for number in (901, 902) if is_first_run else ():
            body = encode(TextMessage(f"letter {number}"))
            # In one write: the actor, which may just start, must not see the message in between.
            await journal.write(
                Accept(number, "/counter", body, "miniagents:TextMessage"),
                Bury("/counter", number, "poisonous", "ValueError: no"),
            )
        await started.wait()
        while not await system.pending():  # noqa: ASYNC110 - nothing tells when a wait begins
            await asyncio.sleep(0.01)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for job in jobs:
            await job.aclose()


if __name__ == "__main__":
    asyncio.run(main())
