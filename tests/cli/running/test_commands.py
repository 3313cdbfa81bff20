"""The commands for a running process: what they show, and which process they ask."""

import json
import os
import re
import sys
from typing import Any

import click
import pytest

from miniagents.cli import main
from miniagents.cli.running import processes
from tests.cli.running.conftest import Started

Capture = pytest.CaptureFixture[str]


def result_of(capsys: Capture, *arguments: str) -> Any:
    """The result of a command that succeeds."""
    assert main([*arguments, "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["version"], written["error"]) == (1, None)
    return written["result"]


def test_the_tree_of_the_only_process_is_shown(start: Started, capsys: Capture) -> None:
    start("ours")

    assert main(["tree"]) == 0

    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("/  ")
    assert "\n  stuck  running, 2 waiting for" in out
    assert "\\x1b[31m" in out
    assert "\x1b" not in out


def test_the_tree_can_begin_elsewhere_and_be_cut(start: Started, capsys: Capture) -> None:
    start("ours")

    result = result_of(capsys, "tree", "--limit", "2")
    assert ([node["path"] for node in result["nodes"]], result["is_whole"]) == (["/", "/stuck"], False)
    assert [node["path"] for node in result_of(capsys, "tree", "/stuck")["nodes"]] == ["/stuck"]
    assert main(["tree", "/nobody"]) == 2
    assert capsys.readouterr().err == "miniagents: error: there is no actor at '/nobody'\n"


def test_calls_are_listed_and_one_is_cancelled_with_all_below(start: Started, capsys: Capture) -> None:
    start("ours")
    boss, waiter = result_of(capsys, "ps")["interactions"]
    assert (boss["agent"], waiter["parent"]) == ("/agents/boss", boss["id"])

    assert main(["ps"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert re.search(rf"LABEL +BY.*\n.*\n.* document 7 +{boss['id']} +", out)
    assert main(["ps", "kill", str(boss["id"])]) == 0
    assert capsys.readouterr().out == f"cancelled {boss['id']} (/agents/boss) and all below it\n"

    assert main(["ps"]) == 0
    assert capsys.readouterr().out == "no calls are under way\n"
    assert main(["ps", "kill", str(boss["id"])]) == 2
    assert capsys.readouterr().err == f"miniagents: error: no call {boss['id']} is under way\n"


def test_a_diagnosis_names_the_fullest_mailbox_and_where_the_oldest_call_waits(start: Started, capsys: Capture) -> None:
    start("ours")

    result = result_of(capsys, "diagnose", "--seconds", "0")
    assert [box["path"] for box in result["mailboxes"]] == ["/stuck"]
    assert result["oldest_calls"][0]["agent"] == "/agents/boss"
    assert "program.py" in result["oldest_calls"][0]["where"]
    assert main(["diagnose", "--seconds", "0"]) == 0
    out = capsys.readouterr().out
    assert "The fullest mailboxes\n  /stuck: 2, the oldest for" in out
    assert "\x1b" not in out


def test_a_diagnosis_names_who_holds_a_loop_that_does_not_answer(
    start: Started, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PATIENCE", 0.2)
    monkeypatch.setattr("miniagents.cli.running.diagnosis._PATIENCE", 0.2)
    program = start("ours", "block")

    loop = result_of(capsys, "diagnose", "--seconds", "0")["loop"]

    assert loop["answered_after"] is None
    assert "did not answer within 0.2 s" in loop["error"]
    (holder,) = loop["holders"]
    assert holder["where"].endswith("in holds_the_loop")
    assert main(["diagnose", "--seconds", "0"]) == 0
    assert capsys.readouterr().out.startswith(f"process {program.pid}, ")


def test_where_no_process_listens_the_error_says_how_to_start_one(runtime: str, capsys: Capture) -> None:
    for command in (["tree"], ["ps"], ["diagnose"]):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "no process listens for commands: start it with MINIAGENTS_CONTROL=1" in line


def test_of_several_processes_one_is_named_by_its_id_or_its_system(start: Started, capsys: Capture) -> None:
    first, second = start("ours"), start("theirs")

    assert main(["ps"]) == 2
    error = capsys.readouterr().err
    assert "several processes listen for commands; say which by --process" in error
    assert f"process {first.pid}, ours, " in error
    assert result_of(capsys, "diagnose", "--process", str(second.pid))["process"]["system"] == "theirs"
    assert result_of(capsys, "diagnose", "--process", "ours")["process"]["pid"] == first.pid
    assert main(["ps", "--process", "nobody"]) == 2
    assert capsys.readouterr().err == "miniagents: error: no process nobody listens for commands of this user\n"


def test_of_several_processes_the_user_at_a_terminal_is_asked(
    start: Started, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    start("ours"), start("theirs")
    monkeypatch.setattr(processes, "can_ask", lambda: True)
    monkeypatch.setattr(click, "prompt", lambda *_, **__: 2)

    second = processes.processes()[1]
    result = result_of(capsys, "diagnose", "--seconds", "0")

    assert result["process"]["pid"] == second.pid


def test_this_process_is_not_listed(runtime: str) -> None:
    assert os.getpid() not in [process.pid for process in processes.processes()]


def test_a_json_error_is_an_envelope_on_standard_output(runtime: str, capsys: Capture) -> None:
    assert main(["ps", "--json"]) == 2

    captured = capsys.readouterr()
    written = json.loads(captured.out)
    assert (written["command"], written["result"], written["error"]["kind"]) == ("ps list", None, "mistake")
    assert captured.err == ""


def test_questions_go_to_standard_error(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    class Terminal:
        def readline(self) -> str:
            return "2\n"

    monkeypatch.setattr(sys, "stdin", Terminal())

    assert processes.choice(["a", "b"]) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "  1  a\n  2  b\n" in captured.err


def test_dead_letters_that_a_process_has_in_memory_are_listed_sent_again_and_dropped(
    start: Started, capsys: Capture
) -> None:
    start("ours")

    first, second = result_of(capsys, "dead-letters", "--process", "ours")["letters"]
    assert (first["receiver"], first["type"], first["reason"]) == ("/gone", "TextMessage", "stopped")
    assert main(["dead-letters", "resend", str(first["id"]), "--process", "ours"]) == 0
    assert capsys.readouterr().out == f"refused again: {first['id']} (/gone)\n"
    assert main(["dead-letters", "drop", str(second["id"]), "--process", "ours"]) == 0
    assert capsys.readouterr().out == f"dropped {second['id']} (/gone)\n"
    assert main(["dead-letters", "drop", str(second["id"]), "--process", "ours"]) == 2
    assert "no dead letter" in capsys.readouterr().err
    assert main(["dead-letters", "--process", "ours"]) == 0
    assert "ID  TO     TYPE" in capsys.readouterr().out
