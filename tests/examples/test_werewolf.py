"""The game of werewolf, as a user plays it, and with many seeds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples.werewolf import CHARACTERS, Accusation, Memory, game, vengeful, villager
from miniagents import MiniAgents

ROOT = Path(__file__).parents[2]

GAME = """\
Night 1. The wolf bites Dora.
Ada: I have listened to all of you. I believe that it is Bruno.
Bruno: Oh dear, it is dark, and I am afraid. Of Fritz, most of all.
Clara: I forget nothing, and I forgive nothing. It is Ada!
Emil: Heads or tails? Tails. It is Fritz.
Fritz: I say what everybody says: Bruno.
(Bruno panics: “it was not me, I swear, I was in bed”. A fresh Bruno remembers nothing.)
Day 1. Fritz has to leave, with 2 of 4 votes.
Night 2. The wolf bites Clara.
Ada: I have listened to all of you. I believe that it is Bruno.
Bruno: Oh dear, it is dark, and I am afraid. Of Emil, most of all.
Emil: Heads or tails? Tails. It is Ada.
Day 2. Bruno has to leave, with 2 of 3 votes.
Bruno was the wolf. The village wins.
"""


def played(*options: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "examples.werewolf", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    return done.stdout, done.stderr


def test_a_game_ends_by_itself_and_is_the_same_each_time() -> None:
    assert played() == (GAME, "")


def test_a_game_can_be_observed() -> None:
    out, err = played("--observe", "--pace", "0")

    assert GAME in out
    assert "http://127.0.0.1:" in out + err


@pytest.mark.parametrize("seed", range(12))
async def test_a_villager_leaves_once_and_somebody_wins(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    async with MiniAgents() as system:
        await game(seed, pace=0.0)
        left = {child.path.rpartition("/")[2] for child in system.tree("/village").children}

    told = capsys.readouterr().out
    gone = re.findall(r"bites (\w+)\.|(\w+) has to leave", told)
    names = [bitten or exiled for bitten, exiled in gone]
    assert len(names) == len(set(names))
    assert left == set(CHARACTERS) - set(names)
    (wolf,) = re.findall(r"(\w+) was the wolf", told)
    assert ("The village wins" in told) == (wolf in names)


async def test_who_was_accused_twice_panics_and_remembers_nothing() -> None:
    talk = [Accusation("It is Bruno.", day=1, by=name, of="Bruno") for name in ("Ada", "Emil")]
    async with MiniAgents() as system:
        bruno = system.spawn(villager, name="Bruno", kwargs={"name": "Bruno", "seed": 1, "pace": 0.0})
        with pytest.raises(Exception, match="I was in bed"):
            await bruno.inquire(talk, task="vote", day=1, alive=("Ada", "Bruno"))
        (vote,) = await bruno.inquire(task="vote", day=2, alive=("Ada", "Bruno"))

        assert isinstance(vote, Accusation)
        assert (vote.by, vote.of) == ("Bruno", "Ada")
        assert system.tree("/Bruno").restarts == 1


def test_the_vengeful_one_accuses_the_last_accuser() -> None:
    memory = Memory("Clara")
    for name in ("Ada", "Emil"):
        memory.hear(Accusation(day=1, by=name, of="Clara"))

    assert vengeful(memory, ["Ada", "Emil"]) == "Emil"


def test_a_memory_counts_what_is_heard_again_once() -> None:
    memory = Memory("Bruno")
    for accusation in 2 * [Accusation(day=1, by="Ada", of="Bruno")] + [Accusation(day=2, by="Ada", of="Emil")]:
        memory.hear(accusation)

    assert memory.accusers() == ["Ada"]
    assert memory.last_suspect_of("Ada") == "Emil"
    assert memory.last_suspect_of("Clara") == ""
    assert memory.most_accused(["Emil", "Clara"]) == "Emil"
    assert memory.most_accused(["Clara"]) == ""
