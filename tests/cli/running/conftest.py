"""A runtime folder of the tests alone, and programs that listen in it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from miniagents.control import address
from tests.cli.operate.commands import Program, running

Started = Callable[..., Program]
"""Starts a program: its name, and further arguments."""


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The runtime folder."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(address, "_folders", lambda: [Path(folder) / "miniagents"])
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield folder


@pytest.fixture
def start(runtime: str) -> Iterator[Started]:
    """Starts programs, which end with the test."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(running("tests.cli.running.program", *arguments))
