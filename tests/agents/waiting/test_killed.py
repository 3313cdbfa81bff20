"""A real process that waits, killed with SIGKILL at each step and started again."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, sys
from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.journal import SqliteJournal

@miniagent(durable=True)
async def patient(ctx: InteractionContext) -> None:
    number = await ctx.random()
    print(await ctx.once("effect", effect), flush=True)
    await ctx.sleep(0.2)
    print("slept", number, flush=True)
    print(await ctx.wait_for("approval"), flush=True)
    print(await ctx.wait_for("last"), flush=True)
    ctx.reply(f"done {number}")

def effect() -> str:
    print("effect", flush=True)
    return "recorded"

async def main() -> None:
    async with MiniAgents(journal=SqliteJournal(sys.argv[1])) as mini:
        replies = mini.run_job("job", patient)
        for argument in sys.argv[2:]:
            name, _, answer = argument.partition("=")
            if answer:
                await mini.deliver("job", name, answer, by="ada")
                print("delivered", name, flush=True)
        print(await replies, flush=True)

asyncio.run(main())
"""


def run_until(line: str, journal: Path, *answers: str) -> list[str]:
    """Run the program, and kill it once it has printed a line that begins so."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(journal), *answers], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = []
    try:
        for printed in process.stdout:
            lines.append(printed.strip())
            if printed.startswith(line):
                break
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    return lines


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_what_a_killed_process_has_taken_and_was_answered_is_there_in_the_next_one(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"

    first = run_until("recorded", journal)
    second = run_until("slept", journal)
    answered = run_until("delivered approval", journal, "approval=yes")
    third = run_until("yes", journal)
    last = run_until("done", journal, "last=fine")

    assert first == ["effect", "recorded"]
    assert second[0] == "recorded"
    assert answered[-1] == "delivered approval"
    assert third[-1] == "yes"
    assert [line for line in last if line in ("yes", "fine", "effect")] == ["yes", "fine"]
    assert last[-1].split()[1] == second[-1].split()[1]  # the random number is the same
