"""A durable mailbox in a process that is killed with SIGKILL again and again, and is started again."""

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

MESSAGES = int(os.environ.get("DURABLE_MESSAGES", "1500"))
"""How many messages are counted; `make soak` counts to 100,000."""

KILLS = int(os.environ.get("DURABLE_KILLS", "5"))

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(60 if MESSAGES <= 2000 else 3600)]


async def one_life(journal: Path, first: int, kill_after: int | None) -> tuple[set[int], int | None]:
    """Run the program, and kill it once it has accepted some messages.

    Returns:
        The messages that it has accepted, and the total if it has ended.
    """
    program = "tests.actors.durable.counting_program"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-m", program, str(journal), str(first), str(MESSAGES), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    accepted = set[int]()
    total = None
    async for line in child.stdout:
        word = line.decode().strip()
        if word.startswith("total"):
            total = int(word.removeprefix("total "))
        elif word.isdigit():
            accepted.add(int(word))
        if len(accepted) == kill_after and child.returncode is None:
            child.kill()
    await child.wait()
    return accepted, total


async def test_each_message_is_counted_once_however_often_the_process_is_killed_and_its_senders_send_again(
    tmp_path: Path,
) -> None:
    chance = random.Random(17)
    accepted, total, lives = set[int](), None, 0
    while total is None:
        missing = next((number for number in range(MESSAGES) if number not in accepted), MESSAGES)
        first = max(missing - 150, 0)  # some are sent again that were accepted, and some that were handled
        kill_after = chance.randrange(1, 2 * MESSAGES // (KILLS + 1)) if lives < KILLS else None
        now_accepted, total = await one_life(tmp_path / "count.db", first, kill_after)
        accepted |= now_accepted
        lives += 1

    assert accepted == set(range(MESSAGES))
    assert total == MESSAGES
    assert lives > KILLS // 2
