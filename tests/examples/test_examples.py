"""Every example does what it says, run as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EXPECTED = {
    "hello": "You said: Hello!\n",
    "aggregator": (
        "The panel says:\n"
        "history: Why? is a good question.\n"
        "physics: Why? is a good question.\n"
        "music: Why? is a good question.\n"
    ),
    "out_of_order": "hare is there\ndog is there\ntortoise is there\n",
    "full_duplex": "sent 10, total so far: 10\nsent 20, total so far: 30\nsent 12, total so far: 42\n",
    "error_propagation": ("Looking it up...\nLookupError: no such document (searcher <- researcher)\nThat was all.\n"),
    "errors_as_messages": ("reply: 1 / 2 = 0.5\nerror: ZeroDivisionError: division by zero\nreply: 3 / 4 = 0.75\n"),
    "stateful": (
        "balance: 120\nbalance: 150\ncrashed: invalid literal for int() with base 10: 'a lot'\n"
        "balance: 101\nrestarts: 1\n"
    ),
    "pool": (
        "jobs done by each worker: {'1': 4, '2': 3, '3': 4}\n"
        "failed: RuntimeError('7 is too much for me')\nrestarts: 1\n"
    ),
    "streaming": "[ROSES . ][ARE . ][RED. ]\nROSES . ARE . RED. \n",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_it_prints_what_it_says(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (EXPECTED[name], "", 0)


def test_an_approval_is_waited_for_across_runs(tmp_path: Path) -> None:
    def run(*answer: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "examples.approval", *answer],
            cwd=ROOT,
            env={**os.environ, "JOURNAL": str(tmp_path / "approval.db")},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert (done.stderr, done.returncode) == ("", 0)
        return done.stdout.splitlines()

    prompt = "Publish 'A poem about the sea.'?"
    hint = "(answer with: python -m examples.approval yes)"
    published = "published: A poem about the sea."
    assert run() == ["writing a draft", prompt, hint]
    assert run() == [prompt, hint]
    assert run("yes") == [prompt, published]
    assert run("yes") == [published]


def test_every_example_is_tested() -> None:
    files = {path.stem for path in (ROOT / "examples").glob("*.py")} - {
        "__init__",
        "mcp_notes",
        "models",
        "word_counter",
    }
    talks_to_models = {"chat", "debate", "extraction", "fallback", "tools"}  # test_llm_examples.py
    assert files == set(EXPECTED) | talks_to_models | {"approval", "mcp_desk", "nightly_batch", "werewolf"}
