"""A swarm that is killed with SIGKILL at random moments, and started again until it is done."""

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from miniagents.journal import Record, Records, RowsOfJob, RowState, SqliteJournal
from miniagents.testing import Call, Exchange, FakeProvider, Reply
from tests.agents.durable import killed_swarm

pytestmark = [pytest.mark.real_time, pytest.mark.slow]

KILLS = int(os.environ.get("SWARM_KILLS", "10"))
SIZE = 4 + 2 * KILLS
_ANSWERS = 4 * (SIZE + 1) + 2 + 5 + 2 + 3
"""What an undisturbed run asks for: dialogs, a stream of a stream, turns with tools, a repair, and full duplex."""

_numbers = itertools.count()
_sample = random.Random(23)


def _answer(exchange: Exchange) -> Reply:
    """Answer so that no two answers are alike, after a while that differs, too."""
    number, messages = next(_numbers), exchange.body["messages"]
    delay = _sample.random() * 0.01
    if exchange.body["model"] == "tools":
        results = sum(message["role"] == "tool" for message in messages)
        if results < 4:
            call = Call("measure", {"place": f"place {number}"}, id=f"call-{results}")
            return Reply(calls=(call,), delay=delay)
    if exchange.body["model"] == "json":
        return Reply(f'{{"value": {{"n": {number}}}}}' if len(messages) > 1 else f"no object {number}", delay=delay)
    return Reply(f"answer number {number} .", delay=delay)


def complete(provider: FakeProvider) -> int:
    return sum(exchange.is_complete for exchange in provider.exchanges)


async def _recorded(path: Path) -> tuple[dict[Any, Record], dict[int, Any]]:
    """Return the recorded answers of models, and the finished calls."""
    journal = SqliteJournal(path)
    journal.open()
    try:
        rows = await journal.read(RowsOfJob("swarm", 0, 10_000))
        answers: dict[Any, Record] = {}
        for row in rows:
            for record in await journal.read(Records(row.id)):
                if record.kind == "model":
                    answers[row.id, record.key, record.number] = record
        return answers, {row.id: row for row in rows if row.state is RowState.FINISHED}
    finally:
        await journal.close()


@pytest.mark.timeout(60 + 6 * KILLS)
def test_a_swarm_that_is_killed_asks_for_no_recorded_answer_again(tmp_path: Path) -> None:
    path, program = tmp_path / "swarm.db", Path(killed_swarm.__file__)
    answers: dict[Any, Record] = {}
    finished: dict[int, Any] = {}
    kills = 0
    with FakeProvider(_answer) as provider:
        command = [sys.executable, str(program), str(path), provider.openai_url, str(SIZE)]
        environment = {**os.environ, "PYTHONPATH": str(program.parents[3])}
        while True:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            if kills < KILLS:
                # So many more answers, and a little while. A job that gets nowhere three times would be stuck.
                until = complete(provider) + _sample.randrange(3, 8)
                while complete(provider) < until and child.poll() is None:
                    time.sleep(0.002)
                time.sleep(_sample.random() * 0.1)
                child.send_signal(signal.SIGKILL)
            output, _ = child.communicate(timeout=50)
            if child.returncode == 0:
                break
            assert child.returncode == -signal.SIGKILL
            kills += 1
            answers_now, finished_now = asyncio.run(_recorded(path))
            assert {key: answers_now.get(key) for key in answers} == answers
            assert {key: finished_now.get(key) for key in finished} == finished
            answers, finished = answers_now, finished_now
        answers_now, finished_now = asyncio.run(_recorded(path))

        assert kills > KILLS / 2
        assert {key: answers_now.get(key) for key in answers} == answers
        assert {key: finished_now.get(key) for key in finished} == finished
        assert len(answers_now) <= _ANSWERS
        asked = len(provider.exchanges)
        again = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=50, check=True)
        assert again.stdout == output.splitlines(keepends=True)[-1]  # a repair may have been logged before it
        assert len(provider.exchanges) == asked
