"""The control socket of a system: when there is one, and what it answers."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    InteractionContext,
    Message,
    MiniAgents,
    SpawnOptions,
    miniagent,
)
from miniagents.control import CommandError, address, ask, socket_path
from miniagents.journal import Accept, Bury, JobOf, JobState, MemoryJournal, SqliteJournal, StartJob
from miniagents.messages import TextMessage, encode

pytestmark = pytest.mark.real_time


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the sockets of this test alone."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(address, "_folders", lambda: [Path(folder) / "miniagents"])
        yield Path(folder)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a journal."""
    return tmp_path / "swarm.db"


async def asked(system: ActorSystem, command: str, **arguments: Any) -> Any:
    """The answer of a system, asked from a thread as another process would."""
    assert system.control is not None
    return await asyncio.to_thread(ask, system.control.path, command, arguments, patience=20)


async def test_a_system_listens_at_the_path_of_its_journal_as_long_as_it_runs(path: Path) -> None:
    async with ActorSystem(name="ours", journal=SqliteJournal(path)) as system:
        hello = await asked(system, "hello")
        assert socket_path(path).exists()

    assert (hello["pid"], hello["journal"], hello["system"]) == (os.getpid(), str(path), "ours")
    assert not socket_path(path).exists()
    assert system.control is None


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take names in UTF-8 only")
async def test_a_journal_whose_path_is_no_utf_8_is_answered_for(path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(path) + b"\xff"))
    async with ActorSystem(journal=SqliteJournal(odd)) as system:
        assert (await asked(system, "hello"))["journal"] == f"{path}\\xff"
        assert (await asked(system, "journal.stats"))["path"] == f"{path}\\xff"


async def test_a_system_that_is_started_again_listens_again(path: Path) -> None:
    system = ActorSystem(journal=SqliteJournal(path))
    for _ in range(2):
        async with system:
            assert (await asked(system, "jobs.list")) == {"jobs": []}


async def test_without_a_journal_in_a_file_there_is_no_socket(runtime: Path) -> None:
    for journal in (None, MemoryJournal()):
        async with ActorSystem(journal=journal) as system:
            assert system.control is None
    assert list(runtime.iterdir()) == []


async def test_where_there_can_be_no_socket_the_system_runs_and_that_is_logged(
    path: Path, monkeypatch: pytest.MonkeyPatch, log: list[Any]
) -> None:
    monkeypatch.setattr(address, "_folders", list)
    async with ActorSystem(journal=SqliteJournal(path)) as system:
        assert system.control is None

    assert [entry["event"] for entry in log] == ["control.not_open"]


async def test_other_parts_of_a_program_can_add_commands(path: Path) -> None:
    async def tree(arguments: dict[str, Any]) -> Any:
        return {"actors": arguments["depth"]}

    async with ActorSystem(journal=SqliteJournal(path)) as system:
        assert system.control is not None
        system.control.commands["tree"] = tree
        assert await asked(system, "tree", depth=3) == {"actors": 3}


async def test_a_system_without_agents_answers_for_the_jobs_in_its_journal(path: Path) -> None:
    journal = SqliteJournal(path)
    async with ActorSystem(journal=journal) as system:
        await journal.write(StartJob("job-42", "app:writer", b"", b""))
        assert (await asked(system, "waits.deliver", job="job-42", name_or_id="x", text="yes")) == {"id": None}
        assert (await asked(system, "waits.list"))["waits"] == []
        assert (await asked(system, "jobs.cancel", job="job-42"))["state"] == "cancelled"
        assert (await asked(system, "journal.delete", job="job-42"))["name"] == "job-42"


async def test_waits_of_calls_that_are_in_no_journal_are_listed_and_answered(path: Path) -> None:
    @miniagent
    async def asker(ctx: InteractionContext) -> None:
        ctx.reply(f"it said {await ctx.wait_for('word', prompt='Which word?')}")

    async with MiniAgents(journal=SqliteJournal(path)) as system:
        replies = asker.inquire()
        async with asyncio.timeout(20):
            while not (waits := (await asked(system, "waits.list"))["waits"]):
                pass
        (wait,) = waits
        assert (wait["job"], wait["name"], wait["prompt"]["content"]) == ("", "word", "Which word?")
        await asked(system, "waits.deliver", job="", name_or_id="word", text="please")
        assert str(await replies) == "it said please"


async def test_a_job_that_runs_is_neither_deleted_nor_forgotten_and_one_that_does_not_is(path: Path) -> None:
    started = asyncio.Event()

    @miniagent
    async def worker(ctx: InteractionContext) -> None:
        started.set()
        await asyncio.Event().wait()

    journal = SqliteJournal(path)
    async with MiniAgents(journal=journal, grace=0.1) as system:
        replies = system.run_job("job-42", worker, errors_as_messages=True)
        await asyncio.wait_for(started.wait(), 20)
        for command in ("journal.delete", "journal.forget"):
            with pytest.raises(CommandError, match="'job-42' runs now; cancel it first") as info:
                await asked(system, command, job="job-42")
            assert info.value.kind == "failed"

        cancelled = await asked(system, "jobs.cancel", job="job-42", by="ada")
        await replies
        assert cancelled["detail"]["content"] == "cancelled by ada"
        job = await journal.read(JobOf("job-42"))
        assert job is not None
        assert job.state is JobState.CANCELLED
        await asked(system, "journal.delete", job="job-42")
        assert await journal.read(JobOf("job-42")) is None


async def test_a_resent_dead_letter_is_handled_and_a_dropped_one_is_gone(path: Path) -> None:
    got = asyncio.Queue[str]()

    class Counter(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            got.put_nowait(str(message))

    journal = SqliteJournal(path)
    async with ActorSystem(journal=journal) as system:
        for number in (901, 902):
            await journal.write(Accept(number, "/counter", encode(TextMessage(f"letter {number}"))))
            await journal.write(Bury("/counter", number, "poisonous"))
        system.spawn(Counter, name="counter", options=SpawnOptions(durable=True))
        await asked(system, "letters.resend", id=902)
        await asked(system, "letters.drop", id=901)

        assert await asyncio.wait_for(got.get(), 20) == "letter 902"
        assert (await asked(system, "letters.list"))["letters"] == []
