"""The program that `counting.py` kills: senders with message ids, a durable counter, and a journal in a file.

`python -m tests.soak.counting_program JOURNAL FIRST LAST` sends the numbers from FIRST up to LAST, each under its own
message id, and writes each that was accepted. At the end it writes the total.
"""

import asyncio
import sys

from miniagents import ActorSystem
from miniagents.journal import SqliteJournal
from tests.actors.actors import Add, Read
from tests.actors.durable.counting import DURABLE, Account

SENDERS = 100


async def count(system: ActorSystem, first: int, last: int) -> None:
    numbers = iter(range(first, last))
    account = system.spawn(Account, name="account", options=DURABLE)

    async def send() -> None:
        for number in numbers:
            await account.send(Add(1), message_id=str(number))
            print(number)

    await asyncio.gather(*(send() for _ in range(SENDERS)))
    total = await account.ask(Read())
    print(f"total {total.value}")


if __name__ == "__main__":
    counting = ActorSystem(journal=SqliteJournal(sys.argv[1]))
    counting.run(count(counting, int(sys.argv[2]), int(sys.argv[3])))
