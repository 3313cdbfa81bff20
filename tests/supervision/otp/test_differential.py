"""Our supervisor does what Erlang/OTP's does: random scenarios are played on both, and the traces are equal."""

import asyncio
import os
import re
import shutil
import subprocess
from itertools import groupby
from pathlib import Path

import pytest

from tests.supervision.otp.ours import Player
from tests.supervision.otp.scenario import Generator, erlang

COUNT = int(os.environ.get("OTP_SCENARIOS", "2000"))
FIRST = int(os.environ.get("OTP_FIRST_SEED", "1"))
PLAYER = Path(__file__).with_name("player.escript")


def comparable(trace: str) -> list[str]:
    """OTP ends the children of a simple_one_for_one all at once: their order means nothing."""
    words: list[str] = []
    for dynamic, run in groupby(trace.split(), lambda word: re.match(r"stop:d\d", word) is not None):
        found = list(run)
        words += sorted(found) if dynamic else found
    return words


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("escript") is None, reason="Erlang's escript (Debian's erlang-base) is not installed")
def test_random_scenarios_leave_the_same_trace_as_on_otp() -> None:
    scenarios = [Generator(seed).scenario() for seed in range(FIRST, FIRST + COUNT)]
    done = subprocess.run(
        ["escript", str(PLAYER)],
        input="\n".join(map(erlang, scenarios)) + "\n",
        capture_output=True,
        text=True,
        timeout=500,
        check=True,
    )
    theirs = {int(line.split()[0]): line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
    assert len(theirs) == COUNT, done.stderr

    async def play_all() -> dict[int, str]:
        return {scenario.seed: await Player(scenario).play() for scenario in scenarios}

    ours = asyncio.run(play_all())
    different = [s for s in scenarios if comparable(ours[s.seed]) != comparable(theirs[s.seed])]
    for scenario in different[:3]:
        print(f"seed {scenario.seed}: {erlang(scenario)}")
        print(f"  OTP:  {theirs[scenario.seed]}\n  ours: {ours[scenario.seed]}")
    assert [scenario.seed for scenario in different] == []
