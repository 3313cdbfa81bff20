"""`miniagents run`: what it prints where, and how it ends."""

import io
import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from miniagents.cli import main
from tests.cli.tmux import ROOT

AGENTS = "tests.cli.agents.agents"

Capture = pytest.CaptureFixture[str]


def started(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "miniagents", "run", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_replies_are_the_only_thing_on_standard_output(capsys: Capture) -> None:
    assert main(["run", f"{AGENTS}:echo", "hello"]) == 0

    captured = capsys.readouterr()
    assert captured.out == "You said: hello\n"
    assert "printed, and no reply" in captured.err


def test_the_message_is_read_from_standard_input(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("line 1\nline 2\n"))

    assert main(["run", f"{AGENTS}:echo", "-"]) == 0

    assert capsys.readouterr().out == "You said: line 1\nline 2\n"


def test_an_agent_is_called_without_a_message(capsys: Capture) -> None:
    assert main(["run", f"{AGENTS}:echo"]) == 0

    assert capsys.readouterr().out == ""


def test_each_reply_is_one_envelope_a_line_and_so_is_the_error(capsys: Capture) -> None:
    assert main(["run", f"{AGENTS}:data", "--json"]) == 0
    (reply,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (reply["version"], reply["command"], reply["error"]) == (1, "run", None)
    assert (reply["result"]["kind"], reply["result"]["data"]) == ("data", {"answer": 42})

    assert main(["run", f"{AGENTS}:broken", "--json"]) == 1
    first, error = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["result"]["text"] == "begun"
    assert error["error"] == {"kind": "failed", "text": "broken failed: ValueError: no such luck"}


def test_an_agent_that_fails_is_status_1_with_its_own_line(capsys: Capture) -> None:
    assert main(["run", f"{AGENTS}:broken"]) == 1

    captured = capsys.readouterr()
    assert captured.out == "begun\n"
    assert 'agents.py", line' in captured.err
    assert captured.err.splitlines()[-1] == "miniagents: error: broken failed: ValueError: no such luck"


REFUSED: dict[str, tuple[list[str], str]] = {
    "no colon": ([AGENTS], "name an agent as module:agent"),
    "no module": (["there.is.none:agent"], "no module named 'there'"),
    "no agent": ([f"{AGENTS}:nobody"], "has no nobody; its agents: echo, data"),
    "no time": ([f"{AGENTS}:echo", "x", "--timeout", "nan"], "--timeout must be more than 0 seconds"),
    "arguments are missing": (["tests.cli.agents_to_measure:with_topic"], "needs an argument 'topic'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_one_line_and_status_2(case: str, capsys: Capture) -> None:
    arguments, said = REFUSED[case]

    assert main(["run", *arguments]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("miniagents: error: ")
    assert said in line


def test_bytes_that_are_no_text_are_a_mistake(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8"))

    assert main(["run", f"{AGENTS}:echo", "-"]) == 2

    assert "standard input is no text in UTF-8" in capsys.readouterr().err


def test_a_reply_without_a_text_is_no_empty_line(capsys: Capture) -> None:
    assert main(["run", f"{AGENTS}:says_little"]) == 0

    assert capsys.readouterr().out == "first\nlast\n"


def test_a_call_that_takes_too_long_fails(capsys: Capture) -> None:
    assert main(["run", f"{AGENTS}:slow", "x", "--timeout", "0.01"]) == 1

    assert "no answer within 0.01 s" in capsys.readouterr().err


def test_what_a_terminal_would_obey_reaches_a_pipe_as_it_is_and_no_terminal(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["run", f"{AGENTS}:evil"]) == 0
    assert "\x1b[31mred" in capsys.readouterr().out

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["run", f"{AGENTS}:evil"]) == 0
    out = capsys.readouterr().out
    assert "red" in out
    assert "\x1b" not in out


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_control_c_in_the_middle_of_a_stream_is_status_130_without_a_traceback() -> None:
    with started(f"{AGENTS}:slow", "x") as process:
        assert process.stdout is not None
        assert process.stdout.read(len("first token")) == "first token"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_control_c_while_the_module_is_imported_is_status_130() -> None:
    with started(f"{AGENTS}:echo", "x", SLOW_IMPORT="1") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (130, "")


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m miniagents run {AGENTS}:data | true"

    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, capture_output=True, text=True, timeout=50
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_other_commands_can_ask_the_process(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: list[Any] = []

    class Noted:
        def __init__(self, **options: Any) -> None:
            settings.append(options)

        def run(self, main: Any) -> None:
            main.close()

    monkeypatch.setattr("miniagents.cli.agents.replies.MiniAgents", Noted)
    monkeypatch.delenv("MINIAGENTS_CONTROL", raising=False)
    assert main(["run", f"{AGENTS}:data"]) == 0
    monkeypatch.setenv("MINIAGENTS_CONTROL", "0")
    assert main(["run", f"{AGENTS}:data"]) == 0

    assert settings == [{"control": True}, {"control": False}]
