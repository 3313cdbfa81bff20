"""A program with a journal, for tests of commands: `python -m tests.cli.operate.program JOURNAL`.

It has a job that does not end, with a wait, and two dead letters. It prints "ready", and runs until its input ends.
"""

import asyncio
import sys

from miniagents import InteractionContext, MiniAgents, TextMessage, miniagent
from miniagents.journal import Accept, Bury, SqliteJournal
from miniagents.messages import encode

started = asyncio.Event()


@miniagent
async def writer(ctx: InteractionContext) -> None:
    """Works until it is cancelled."""
    started.set()
    try:
        await asyncio.Event().wait()
    finally:
        print("the writer has ended", flush=True)


async def main() -> None:
    """Run the program."""
    journal = SqliteJournal(sys.argv[1])
    async with MiniAgents(journal=journal, grace=0.1) as system:
        job = system.run_job("job-42", writer, "a book", errors_as_messages=True)
        for number in (901, 902):
            body = encode(TextMessage(f"letter {number}"))
            await journal.write(Accept(number, "/counter", body, "miniagents:TextMessage"))
            await journal.write(Bury("/counter", number, "poisonous", "ValueError: no"))
        await started.wait()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await job.aclose()


if __name__ == "__main__":
    asyncio.run(main())
