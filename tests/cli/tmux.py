"""A real terminal for tests: a window of tmux, in which a command runs."""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux, a real terminal")

_PATIENCE = 30.0
"""Seconds to wait for what a screen is to show."""

_SCRIPT = """trap : INT; unset COLUMNS LINES  # pytest sets them
stty -g > before
sh -c 'echo $$ > pid; exec env {environment} {python} -m miniagents {command}'; echo $? > status
stty -g > after; echo the-end; cat"""


class Terminal:
    """A window of tmux.

    Args:
        server: The name of the server of tmux.
        folder: The folder that the command runs in.
    """

    def __init__(self, server: str, folder: Path) -> None:
        self._server = server
        self._folder = folder

    def tmux(self, *arguments: str) -> str:
        """Run a command of tmux, and return its output."""
        command = ["tmux", "-L", self._server, "-f", os.devnull, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE).stdout

    def screen(self, *, with_escapes: bool = False) -> str:
        """Return what the window shows."""
        return self.tmux("capture-pane", "-p", "-J", *(["-e"] if with_escapes else []))

    def keys(self, *keys: str) -> None:
        """Press keys: "Enter", "C-c", or text."""
        self.tmux("send-keys", *keys)

    def resize(self, columns: int, lines: int) -> None:
        """Give the window another size."""
        self.tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def shows(self, *texts: str) -> str:
        """Wait until the window shows texts, wherever their lines end, and return all that it shows then."""
        return self.until(lambda screen: all(text in " ".join(screen.split()) for text in texts), " and ".join(texts))

    def until(self, is_there: Callable[[str], bool], what: str) -> str:
        """Wait until the window shows what is looked for, and return all that it shows then."""
        deadline = time.monotonic() + _PATIENCE
        while not is_there(screen := self.screen()):
            assert time.monotonic() < deadline, f"the screen does not show {what}:\n{screen}"
            time.sleep(0.05)
        return screen

    def status(self) -> int:
        """Wait until the command has ended, check that it left the terminal as it was, and return its status."""
        self.shows("the-end")
        before, after = ((self._folder / name).read_text() for name in ("before", "after"))
        assert before == after, "the settings of the terminal have changed"
        modes = "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"
        assert self.tmux("display-message", "-p", modes).split() == ["0", "1", "0"]
        return int((self._folder / "status").read_text())

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to the command."""
        os.kill(int((self._folder / "pid").read_text()), number)


@contextmanager
def terminal(
    folder: Path, command: str, *, columns: int = 100, lines: int = 30, **environment: str
) -> Iterator[Terminal]:
    """A window in which `miniagents` runs with arguments, and after it a shell that says how it ended."""
    variables = {"PYTHONPATH": str(ROOT), "TERM": "screen-256color", **environment}
    script = folder / "in-the-window.sh"
    script.write_text(
        _SCRIPT.format(
            environment=" ".join(f"{name}={value}" for name, value in variables.items()),
            python=sys.executable,
            command=command,
        )
    )
    window = Terminal(f"miniagents-tests-{uuid.uuid4().hex[:12]}", folder)
    size = ["-x", str(columns), "-y", str(lines)]
    window.tmux("new-session", "-d", *size, "-c", str(folder), f"sh {script}")
    try:
        yield window
    finally:
        window.tmux("kill-server")
