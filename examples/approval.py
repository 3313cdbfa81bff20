"""A job that waits for a human, across restarts: run it twice, and answer in the second run.

The first run leaves the job in the journal while it waits. Each later run finds it there and asks for the answer.
"""

import asyncio
import os
import sys

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.journal import SqliteJournal


@miniagent(durable=True)
async def publisher(ctx: InteractionContext) -> None:
    draft = await ctx.once("draft", write)
    answer = await ctx.wait_for("approval", prompt=f"Publish {draft!r}?")
    ctx.reply(f"published: {draft}" if str(answer) == "yes" else f"not published: {answer}")


def write() -> str:
    print("writing a draft")
    return "A poem about the sea."


async def main() -> None:
    mini = MiniAgents(journal=SqliteJournal(os.environ.get("JOURNAL", "approval.db"))).activate()
    replies = mini.run_job("poem", publisher)
    while not (waits := await mini.pending("poem")) and not replies.done():  # noqa: ASYNC110 - as an operator looks
        await asyncio.sleep(0.01)
    for wait in waits:
        print(wait.prompt)
        if len(sys.argv) < 2:
            print("(answer with: python -m examples.approval yes)")
            break
        await mini.deliver(wait.job, wait.id, sys.argv[1])
    else:
        print(await replies)
        await mini.afinalize()


if __name__ == "__main__":
    asyncio.run(main())
