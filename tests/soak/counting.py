"""A durable mailbox that counts, in a process that is killed again and again, and started again."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

SENT_AGAIN = 150
"""So many messages before the first one that is missing are sent again, under their ids."""


class Figures(msgspec.Struct):
    """What came of the count.

    Attributes:
        messages: How many different messages were sent.
        total: What the mailbox has counted.
        sent: How often a message was accepted, those that were sent again included.
        kills: How often the process was killed.
        seconds: How long it took.
    """

    messages: int
    total: int
    sent: int
    kills: int
    seconds: float


def play(folder: Path, messages: int, kills: int, *, seed: int = 17) -> Figures:
    """Let senders send each number under its own id, until all are accepted, and kill the process on the way.

    Args:
        folder: An empty folder for the journal.
        messages: How many numbers.
        kills: How often the process is killed or stopped, each time once it has accepted a random number of messages.
        seed: The seed of these.

    Raises:
        AssertionError: A message was lost, or counted twice.
    """
    began, chance = time.monotonic(), random.Random(seed)
    accepted, total, killed, sent = set[int](), None, 0, 0
    while total is None:
        missing = next((number for number in range(messages) if number not in accepted), messages)
        left = messages - len(accepted)
        after = chance.randrange(1, max(2 * left // (kills - killed + 1), 2)) if killed < kills else None
        ending = chance.choice((signal.SIGKILL, signal.SIGTERM))
        now, total = _one_life(folder / "count.db", max(missing - SENT_AGAIN, 0), messages, after, ending)
        killed += total is None
        sent += len(now)
        accepted |= now
    assert accepted == set(range(messages)), f"{messages - len(accepted)} messages were never accepted"
    assert total == messages, f"{messages} messages were sent, and {total} were counted"
    assert killed == kills, f"the count was done after {killed} of {kills} kills"
    return Figures(messages, total, sent, killed, time.monotonic() - began)


def _one_life(
    journal: Path, first: int, last: int, kill_after: int | None, ending: signal.Signals
) -> tuple[set[int], int | None]:
    """Run the program, and send it a signal once it has accepted some messages.

    Returns:
        The messages that it has accepted, and the total if it has ended.
    """
    program = [sys.executable, "-u", "-m", "tests.soak.counting_program", str(journal), str(first), str(last)]
    accepted = set[int]()
    total = None
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            word = line.strip()
            if word.startswith("total"):
                total = int(word.removeprefix("total "))
            elif word.isdigit():
                accepted.add(int(word))
            if len(accepted) == kill_after:
                child.send_signal(ending)
    assert child.returncode == (0 if total is not None else -ending), f"ended with {child.returncode}"
    return accepted, total
