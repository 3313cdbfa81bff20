"""`miniagents chat` in a real terminal: what it shows, and the terminal that it leaves."""

import signal
import sys
from pathlib import Path

import pytest

from miniagents.cli import main
from tests.cli.tmux import needs_tmux, terminal

AGENTS = "tests.cli.agents.agents"


def test_without_a_terminal_it_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", f"{AGENTS}:echo"]) == 2

    assert "chat needs a terminal; use `miniagents run` in a pipe" in capsys.readouterr().err


def test_without_its_library_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)

    assert main(["chat", f"{AGENTS}:echo"]) == 2

    assert "miniagents chat needs prompt_toolkit: pip install 'miniagents[cli]'" in capsys.readouterr().err


@needs_tmux
def test_a_dialog_goes_on_after_a_resize_and_ends_with_exit(tmp_path: Path) -> None:
    with terminal(tmp_path, f"chat {AGENTS}:echo --history CHAT.md", columns=24) as window:
        window.shows("USER:")
        window.keys("hello there", "Enter")
        window.shows("ASSISTANT: You said: hello there")
        window.resize(100, 20)
        window.keys("again", "Enter")
        window.shows("You said: again")
        window.keys("exit", "Enter")
        assert window.status() == 0

    assert "hello there" in (tmp_path / "CHAT.md").read_text()


@needs_tmux
@pytest.mark.parametrize(("key", "status"), [("C-c", 0), ("C-d", 0)])
def test_control_c_and_control_d_at_the_prompt_end_the_dialog(tmp_path: Path, key: str, status: int) -> None:
    with terminal(tmp_path, f"chat {AGENTS}:echo") as window:
        window.shows("USER:")
        window.keys(key)
        assert window.status() == status


@needs_tmux
def test_control_c_while_the_agent_speaks_is_status_130(tmp_path: Path) -> None:
    with terminal(tmp_path, f"chat {AGENTS}:slow") as window:
        window.shows("USER:")
        window.keys("hello", "Enter")
        window.shows("first token")
        window.keys("C-c")
        assert window.status() == 130
        assert "Traceback" not in window.screen()


@needs_tmux
def test_control_c_while_the_module_is_imported_is_status_130(tmp_path: Path) -> None:
    with terminal(tmp_path, f"chat {AGENTS}:echo", SLOW_IMPORT="1") as window:
        window.shows("importing")
        window.keys("C-c")
        assert window.status() == 130


@needs_tmux
def test_an_agent_that_fails_ends_the_dialog_with_its_own_line(tmp_path: Path) -> None:
    with terminal(tmp_path, f"chat {AGENTS}:broken") as window:
        window.shows("USER:")
        window.keys("hello", "Enter")
        assert window.status() == 1
        assert "broken failed: ValueError: no such luck" in window.screen()


@needs_tmux
def test_a_signal_that_ends_the_process_leaves_a_sane_terminal(tmp_path: Path) -> None:
    with terminal(tmp_path, f"chat {AGENTS}:slow") as window:
        window.shows("USER:")
        window.keys("hello", "Enter")
        window.shows("first token")
        window.kill(signal.SIGTERM)
        assert window.status() == 128 + signal.SIGTERM


@needs_tmux
def test_what_an_agent_says_does_not_reach_the_terminal_as_a_command(tmp_path: Path) -> None:
    with terminal(tmp_path, f"chat {AGENTS}:evil") as window:
        window.shows("USER:")
        window.keys("hello", "Enter")
        window.shows("[31mred[2J and more")
        assert window.tmux("display-message", "-p", "#{pane_title}").strip() != "a title"
        window.keys("C-c")
        assert window.status() == 0
