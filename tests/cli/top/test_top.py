"""`miniagents top` in a real terminal: what it shows, what it does, and the terminal that it leaves."""

import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from miniagents.cli import main
from tests.cli.operate.commands import Program, running
from tests.cli.tmux import Terminal, needs_tmux, terminal

TOP = "top --every 0.1"


def test_without_a_terminal_it_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top"]) == 2

    assert "top needs a terminal; use `miniagents tree`" in capsys.readouterr().err


def test_without_its_library_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "textual.app", None)
    monkeypatch.delitem(sys.modules, "miniagents.cli.top.app", raising=False)

    assert main(["top"]) == 2

    assert "pip install 'miniagents[cli]'" in capsys.readouterr().err


def name() -> str:
    """The name of a system that no other process has."""
    return f"ours-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def watched() -> Iterator[str]:
    """The options of `top` for a program that tests look at and leave as it is."""
    system = name()
    with running("tests.cli.running.program", system):
        yield f"{TOP} --process {system}"


@pytest.fixture
def own() -> Iterator[tuple[Program, str]]:
    """A program of the test alone, and the options of `top` for it."""
    system = name()
    with running("tests.cli.running.program", system) as program:
        yield program, f"{TOP} --process {system}"


@needs_tmux
def test_the_tree_is_shown_and_opened_and_names_do_nothing(watched: str, tmp_path: Path) -> None:
    with terminal(tmp_path, watched, columns=120) as window:
        window.shows("ours", "4 actors", "2 calls", "stuck", "+ agents")
        window.keys("Down", "Down", "Enter")
        window.shows("- agents", "boss", "evil\\x1b[31m")
        assert window.tmux("display-message", "-p", "#{pane_title}").strip() != "title"
        window.keys("p")
        window.shows("paused: p goes on")
        window.keys("p")
        window.until(lambda screen: "paused" not in screen, "no pause")
        window.keys("q")
        assert window.status() == 0


@needs_tmux
def test_a_call_is_cancelled_after_a_question_and_the_end_of_the_process_is_told(
    own: tuple[Program, str], tmp_path: Path
) -> None:
    program, command = own
    with terminal(tmp_path, command) as window:
        at_the_question(window)
        window.keys("n")
        window.until(lambda screen: "all below it?" not in screen, "no question")
        window.keys("k")
        window.shows("(/agents/boss) and all below it?")
        window.keys("y")
        window.shows("0 calls", "is cancelled")
        program.kill()
        window.shows("has ended", "0 calls")
        window.keys("q")
        assert window.status() == 0


@needs_tmux
def test_a_narrow_window_and_another_size_are_no_trouble(watched: str, tmp_path: Path) -> None:
    with terminal(tmp_path, watched, columns=20, lines=8) as window:
        window.shows("ours")
        window.resize(140, 30)
        window.shows("LAST ERROR", "stuck")
        window.resize(10, 4)
        window.resize(100, 20)
        window.shows("ours", "stuck", "STATE")
        window.keys("q")
        assert window.status() == 0


def at_the_tree(window: Terminal) -> None:
    window.shows("stuck")


def at_the_calls(window: Terminal) -> None:
    window.shows("2 calls")
    window.keys("c")
    window.shows("/agents/boss")


def at_the_question(window: Terminal) -> None:
    at_the_calls(window)
    window.keys("k")
    window.shows("all below it?")


@needs_tmux
@pytest.mark.parametrize("moment", [at_the_tree, at_the_question])
def test_control_c_ends_it_at_each_moment(watched: str, tmp_path: Path, moment: Callable[[Terminal], None]) -> None:
    with terminal(tmp_path, watched) as window:
        moment(window)
        window.keys("C-c")
        assert window.status() == 130


@needs_tmux
def test_a_signal_that_ends_it_leaves_a_sane_terminal(watched: str, tmp_path: Path) -> None:
    with terminal(tmp_path, watched) as window:
        window.shows("stuck")
        window.kill(signal.SIGTERM)
        assert window.status() == 128 + signal.SIGTERM


@needs_tmux
def test_of_several_processes_the_user_is_asked_for_one(watched: str, own: tuple[Program, str], tmp_path: Path) -> None:
    program, _ = own
    with terminal(tmp_path, TOP) as window:
        screen = window.shows("Which one", f"process {program.pid}, ours")
        (line,) = [line for line in screen.splitlines() if f"process {program.pid}, " in line]
        window.keys(line.split()[0], "Enter")
        window.shows(f"process {program.pid}", "stuck")
        window.keys("q")
        assert window.status() == 0


@needs_tmux
def test_control_c_at_the_question_which_process_is_status_130(
    watched: str, own: tuple[Program, str], tmp_path: Path
) -> None:
    with terminal(tmp_path, TOP) as window:
        window.shows("Which one")
        window.keys("C-c")
        assert window.status() == 130
