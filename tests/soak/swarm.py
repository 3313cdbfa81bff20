"""A swarm that is killed at random moments, and started again until it is done."""

import asyncio
import itertools
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from miniagents.control import NotListeningError, ask, socket_path
from miniagents.errors import MiniAgentsError
from miniagents.journal import Deaths, KeptMessages, Records, Row, RowsOfJob, RowState, SqliteJournal, job_subject
from miniagents.messages import decode
from miniagents.testing import Call, Exchange, FakeProvider, Reply
from tests.soak.swarm_program import AGENTS, ANSWERS, DIALOGS, TURNS

TEAMS = 7
"""With 30 agents each, beside models."""

_LIFE = 120.0
"""Seconds after which a life that is not killed must have ended."""

_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Figures(msgspec.Struct):
    """What came of a killed swarm.

    Attributes:
        agents: The calls of agents in the finished job, without models and calls that failed.
        kills: How often each signal ended the process.
        answers: The answers of models that are recorded at the end.
        requests: The requests that the provider has answered.
        fruitless: The lives in which nothing was committed.
        seconds: How long it took.
    """

    agents: int
    kills: dict[str, int]
    answers: int
    requests: int
    fruitless: int
    seconds: float


class Recorded(msgspec.Struct):
    """What the journal of a dead process holds.

    Attributes:
        answers: The texts of the recorded answers of models, by row, key and number.
        finished: The finished calls, by row.
        deaths: The deaths in a row without progress that the last life began with.
    """

    answers: dict[tuple[int, bytes, int], str]
    finished: dict[int, Row]
    deaths: int


class Provider:
    """Answers so that no two answers are alike, after times that differ, too.

    In a life that is to be killed it gives a few answers only, so that the job is not done before all kills.

    Attributes:
        to_give: How many answers it gives at once in this life; None for all that are asked for.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.numbers = itertools.count()
        self.to_give: int | None = None

    def answer(self, exchange: Exchange) -> Reply:
        """Answer a request; a part of them fails."""
        number, messages, name = next(self.numbers), exchange.body["messages"], exchange.body["model"]
        delay = self.chance.random() * 0.08 if self.to_give is not None else 0.0
        if self.chance.random() < 0.03:
            return Reply.failure(500, delay=delay)
        if self.to_give is not None:
            self.to_give -= 1
            if self.to_give < 0:
                delay = 2 * _LIFE
        if name == "tools" and (done := sum(message["role"] == "tool" for message in messages)) < TURNS - 1:
            call = Call("measure", {"place": f"#{number}"}, id=f"call-{done}")
            return Reply(calls=(call,), delay=delay)
        if name == "json" and len(messages) > 1:
            return Reply(f'{{"value": {{"#{number}": 1}}}}', delay=delay)
        if name == "picky" and self.chance.random() < 0.5:
            return Reply(f"refused #{number}", delay=delay)
        return Reply(f"answer #{number} of {name}", delay=delay)


def play(folder: Path, kills: int, *, teams: int = TEAMS, seed: int = 23) -> Figures:
    """Let the swarm run until it is done, and kill it on the way.

    The moments are drawn: while the program starts, while it replays, and after a few more answers. A job whose process
    dies three times before anything of it is committed would be stuck. So after two such deaths the next life is killed
    once it has committed something, and the program itself never has to free its job.

    Args:
        folder: An empty folder for the journal.
        kills: How often it is killed.
        teams: How many teams of 30 agents.
        seed: The seed of the moments and of the answers.

    Raises:
        AssertionError: A promise does not hold.
    """
    began, chance = time.monotonic(), random.Random(seed)
    provider = Provider(random.Random(seed + 1))
    journal = folder / "swarm.db"
    before = Recorded({}, {}, 0)
    killed: dict[str, int] = {}
    fruitless = 0
    with FakeProvider(provider.answer) as server:
        command = [sys.executable, "-m", "tests.soak.swarm_program", str(journal), server.openai_url, str(teams)]
        while True:
            is_killed = sum(killed.values()) < kills
            provider.to_give = chance.randrange(2, 9) if is_killed else None
            with (
                (folder / "errors.txt").open("a+") as errors,
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as child,
            ):
                ending = chance.choice(_SIGNALS)
                if provider.to_give is not None:
                    if before.deaths:
                        _wait_for_progress(child, journal)
                    elif chance.random() < 0.3:
                        time.sleep(chance.random() * 2.0)
                    else:
                        _wait_for_answers(child, server, _answered(server) + chance.randrange(1, provider.to_give + 1))
                        time.sleep(chance.random() * 0.1)
                    child.send_signal(ending)
                output, _ = child.communicate(timeout=_LIFE)
                errors.seek(0)
                logged = [line for line in errors if "[error" in line]
            assert not logged, f"the program has logged {logged[0]}"
            if child.returncode == 0:
                break
            assert child.returncode == -ending, f"ended with {child.returncode}, and was sent {ending}"
            killed[ending.name] = killed.get(ending.name, 0) + 1
            now = asyncio.run(_recorded(journal))
            _check_kept(before, now)
            fruitless += len(now.answers) == len(before.answers) and now.finished == before.finished
            before = now

        now = asyncio.run(_recorded(journal))
        _check_kept(before, now)
        _check_end(msgspec.json.decode(output), now, teams)
        asked, answered = len(server.exchanges), _answered(server)
        again = subprocess.run(command, capture_output=True, text=True, timeout=_LIFE, check=True)
        assert again.stdout == output, "the finished job has another result"
        assert len(server.exchanges) == asked, "the finished job asked again"
    assert sum(killed.values()) == kills, f"the swarm was done after {killed} of {kills} kills"
    agents = sum(not row.agent.startswith("miniagents.") for row in now.finished.values())
    seconds = time.monotonic() - began
    return Figures(agents, killed, len(now.answers), answered, fruitless, seconds)


def _check_kept(before: Recorded, now: Recorded) -> None:
    """What was recorded once stays as it was: had it been asked for again, it would be another answer."""
    changed = [key for key, answer in before.answers.items() if now.answers.get(key) != answer]
    assert not changed, f"{len(changed)} recorded answers were replaced: {changed[:3]}"
    again = [row for row, call in before.finished.items() if now.finished.get(row) != call]
    assert not again, f"{len(again)} finished calls ran again: {again[:3]}"


def _check_end(output: Any, now: Recorded, teams: int) -> None:
    """Check a finished job: its answers, its result, and the messages to the ledger."""
    refused = sum(text.startswith("refused") for text in now.answers.values())
    wanted = ANSWERS * teams + refused
    assert len(now.answers) == wanted, f"{len(now.answers)} answers are recorded, and {wanted} were needed"
    recorded = [number for text in now.answers.values() for number in re.findall(r"#\d+", text)]
    used = set(re.findall(r"#\d+", output["result"]))
    assert used <= set(recorded), f"used and not recorded: {sorted(used - set(recorded))[:5]}"
    # Each dialog says all that it heard, and so do the others but for refusals, repairs, tools and later chapters.
    least = teams * ((DIALOGS + 1) * 4 + 2 * (2 + 1 + 1 + 1) + 1 + 3)
    assert len(used) >= least, f"the result has {len(used)} answers in it, and {least} were asked for it"
    names = [f"team {team}.{place}" for team in range(teams) for place in (*range(DIALOGS), "last")]
    assert output["ledger"] == dict.fromkeys(names, 1), f"the ledger has {output['ledger']}"
    agents = sum(not row.agent.startswith("miniagents.") for row in now.finished.values())
    assert agents == 1 + teams * (1 + AGENTS), f"{agents} calls of agents have finished"


def _answered(server: FakeProvider) -> int:
    return sum(exchange.is_complete and exchange.status == 200 for exchange in server.exchanges)


def _wait_for_answers(child: "subprocess.Popen[str]", server: FakeProvider, count: int) -> None:
    while _answered(server) < count and child.poll() is None:
        time.sleep(0.005)


def _wait_for_progress(child: "subprocess.Popen[str]", journal: Path) -> None:
    """Ask a process at its control socket until it has recorded an answer, which is a message that it keeps."""
    first: int | None = None
    while child.poll() is None:
        try:
            messages = ask(socket_path(journal), "journal.stats", {})["counts"]["messages"]
        except (NotListeningError, MiniAgentsError):
            messages = first
        first = messages if first is None else first
        if messages != first:
            return
        time.sleep(0.02)


async def _recorded(path: Path) -> Recorded:
    journal = SqliteJournal(path)
    journal.open()
    try:
        rows = await journal.read(RowsOfJob("swarm", 0, 100_000))
        records = [record for row in rows for record in await journal.read(Records(row.id))]
        answers = {
            (record.row, record.key, record.number): record.message for record in records if record.kind == "model"
        }
        bodies = await journal.read(KeptMessages(tuple(answers.values())))
        texts = {key: _text_of(bodies[message]) for key, message in answers.items()}
        finished = {row.id: row for row in rows if row.state is RowState.FINISHED}
        return Recorded(texts, finished, await journal.read(Deaths(job_subject("swarm"))))
    finally:
        await journal.close()


def _text_of(body: bytes) -> str:
    return f"{decode(body)} {body!r}"
