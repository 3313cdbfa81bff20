"""The batch among the examples, killed in the middle and run again."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from miniagents.testing import Exchange, FakeProvider, Reply

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "examples.nightly_batch"]
RESULT = "49 complaint, 1 failed, 50 invoice, 50 praise, 50 question"

# Importing an SDK takes seconds where the machine is busy.
pytestmark = [pytest.mark.real_time, pytest.mark.timeout(120)]


def read(exchange: Exchange) -> Reply:
    text = exchange.body["messages"][-1]["content"]
    if "empty" in text:
        return Reply.failure(400, error="there is nothing to read")
    return Reply(text.split()[-1].strip("."))


def test_a_batch_that_was_killed_goes_on_and_asks_only_for_what_is_missing(
    tmp_path: Path, fake_provider: FakeProvider
) -> None:
    environment = {
        **os.environ,
        "JOURNAL": str(tmp_path / "batch.db"),
        "MODEL": "openai:fake-1",
        "OPENAI_API_KEY": "fake-key",
        "OPENAI_BASE_URL": fake_provider.openai_url,
    }

    def stalls_after_60(exchange: Exchange) -> Reply:
        return read(exchange) if len(fake_provider.exchanges) <= 60 else Reply("late", delay=3600)

    fake_provider.reset(stalls_after_60)
    with subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for count in (20, 40, 60):
                assert process.stdout.readline() == f"{count} of 200\n"
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL

    fake_provider.reset(read)
    done = subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)

    assert (done.stderr, done.returncode) == ("", 0)
    *_, asked, result = done.stdout.splitlines()
    assert 140 <= int(re.findall(r"\d+", asked)[0]) < 200, "not for those that were on disk when it was killed"
    assert len(fake_provider.exchanges) < 200
    assert result == RESULT


def test_a_batch_that_has_ended_is_not_run_again(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MODEL"}
    environment["JOURNAL"] = str(tmp_path / "batch.db")
    runs = [
        subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50, check=False)
        for _ in range(2)
    ]

    assert [(run.stderr, run.returncode) for run in runs] == [("", 0)] * 2
    assert [run.stdout.splitlines()[-2:] for run in runs] == [
        [f"the model was asked {count} times in this run", RESULT] for count in (200, 0)
    ]
