"""`miniagents eval`: cases from a file or a module, checks, and the status."""

import json
from pathlib import Path
from typing import Any

import pytest

from miniagents.cli import main
from miniagents.messages import Messages
from miniagents.testing import Case

HERE = "tests.cli.agents.test_eval"
ECHO = "tests.cli.agents.agents:echo"

CASES = [Case("hello", expected="You said: hello", name="greeting")]

NO_CASES = ["hello"]

Capture = pytest.CaptureFixture[str]


def short(case: Case, replies: Messages) -> bool:
    """A check of one's own."""
    return len(str(replies)) < 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of two cases, of which the second is not passed exactly."""
    path = tmp_path / "cases.jsonl"
    path.write_text(
        '{"input": "a", "expected": "You said: a", "name": "first"}\n\n{"input": "b", "expected": "SAID: B"}\n'
    )
    return path


def report_of(capsys: Capture, *arguments: str) -> tuple[int, Any]:
    status = main(["eval", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)["result"]


def test_the_report_has_the_rates_and_a_case_that_fails_is_status_1(file: Path, capsys: Capture) -> None:
    status, report = report_of(capsys, ECHO, str(file), "--repeat", "3")

    assert (status, report["passed"]) == (1, False)
    assert (report["checks"]["exact"]["passed"], report["checks"]["exact"]["of"]) == (3, 6)
    assert [report["cases"][name]["rate"] for name in ("first", "2")] == [1.0, 0.0]


def test_all_that_pass_is_status_0_with_a_table(file: Path, capsys: Capture) -> None:
    assert main(["eval", ECHO, str(file), "--check", "contains", "--check", f"{HERE}:short"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["contains", "2/2"], ["short", "2/2"]]


def test_cases_come_from_a_module_too(capsys: Capture) -> None:
    status, report = report_of(capsys, ECHO, f"{HERE}:CASES")

    assert (status, list(report["cases"])) == (0, ["greeting"])


def test_an_agent_that_fails_is_told_and_status_1(file: Path, capsys: Capture) -> None:
    assert main(["eval", "tests.cli.agents.agents:broken", str(file)]) == 1

    assert "first, attempt 1: ValueError: no such luck" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([ECHO, "nowhere.jsonl"], "nowhere.jsonl: the cases cannot be read: No such file"),
        ([ECHO, f"{HERE}:NO_CASES"], "is no list of miniagents.testing.Case"),
        (
            [ECHO, f"{HERE}:CASES", "--check", "odd"],
            "--check odd: name a function as module:function, or exact, contains",
        ),
        ([ECHO, f"{HERE}:CASES", "--check", f"{HERE}:HERE"], "is no function"),
        ([ECHO, f"{HERE}:CASES", "--repeat", "0"], "repeat=) must be 1 or more, not 0"),
        ([ECHO, f"{HERE}:CASES", "--timeout", "nan"], "--timeout must be more than 0 seconds"),
        (["tests.cli.agents.agents:nobody", f"{HERE}:CASES"], "has no nobody"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments: list[str], text: str, capsys: Capture) -> None:
    assert main(["eval", *arguments]) == 2

    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert captured.out == ""
    assert text in line


@pytest.mark.parametrize("content", ["{", '{"expected": "x"}', "[]", '{"input": "a", "odd": 1}', "\xff", ""])
def test_a_line_that_is_no_case_is_named(content: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_bytes(b'{"input": "a"}\n' + content.encode("latin-1") if content else b"")

    assert main(["eval", ECHO, str(path)]) == 2

    assert ("line 2: this is no case" if content else "has no cases") in capsys.readouterr().err
