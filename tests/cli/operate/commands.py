"""Commands against a journal, as tests run them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from miniagents.cli import main

ROOT = Path(__file__).parents[3]


class Outcome(NamedTuple):
    """What became of a command."""

    status: int
    out: str
    err: str

    @property
    def envelope(self) -> dict[str, Any]:
        """The only line of the output, as JSON."""
        (line,) = self.out.splitlines()
        envelope: dict[str, Any] = json.loads(line)
        assert (envelope["version"], set(envelope)) == (1, {"version", "command", "result", "error"})
        return envelope


class Commands:
    """Runs commands for one journal in this process.

    Args:
        path: The journal.
        capsys: The fixture of pytest.
    """

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._path = path
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Outcome:
        """Run a command, and return its outcome."""
        status = main([*arguments, "--journal", str(self._path)])
        return Outcome(status, *self._capsys.readouterr())

    def refused(self, *arguments: str) -> str:
        """Return the error of a command that must be refused as a mistake, in one line on standard error."""
        outcome = self(*arguments)
        assert (outcome.status, outcome.out) == (2, "")
        (line,) = outcome.err.splitlines()
        assert line.startswith("miniagents: error: ")
        return line


class Program:
    """A program of another process.

    Args:
        process: The process.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        """Kill it, and wait for its death."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)

    def end(self) -> int:
        """Let it end in order, and return its exit status."""
        self._process.communicate("", timeout=30)
        return self._process.returncode


@contextmanager
def running(module: str, *arguments: str | Path, **environment: str) -> Iterator[Program]:
    """A program, once it is ready."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            program = Program(process)
            assert program.line() == "ready"
            yield program
        finally:
            process.kill()
