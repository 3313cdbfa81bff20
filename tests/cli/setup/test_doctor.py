"""`miniagents doctor`: what it finds, and what it never shows."""

import asyncio
import json
import re
import socket
from pathlib import Path

import pytest

from miniagents import ActorSystem
from miniagents.cli import main
from miniagents.cli.running.processes import Process
from miniagents.cli.setup import checks
from miniagents.journal import SqliteJournal

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture(autouse=True)
def _no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the processes of others."""
    monkeypatch.setattr(checks, "processes", list)
    monkeypatch.delenv("MINIAGENTS_JOURNAL", raising=False)


def examined(capsys: Capture, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The status, and the checks by their names."""
    status = main(["doctor", "--json", *arguments])
    result = json.loads(capsys.readouterr().out)["result"]
    return status, {check["name"]: (check["state"], check["text"]) for check in result["checks"]}


def test_a_machine_that_has_all_is_well(port: int, capsys: Capture) -> None:
    status, found = examined(capsys, "--port", str(port))

    assert status == 0
    assert found["python"][0] == "ok"
    assert found["port"] == ("ok", f"{port} is free")
    assert "journal" not in found


def test_a_port_that_is_taken_is_wrong_and_status_1(capsys: Capture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        status, found = examined(capsys, "--port", str(port))

    assert (status, found["port"][0]) == (1, "wrong")
    assert examined(capsys, "--port", "65536")[1]["port"][0] == "wrong"


def test_a_key_is_told_to_be_there_and_never_shown(port: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)

    assert main(["doctor", "--port", str(port)]) == 0

    out = capsys.readouterr().out
    assert "secret" not in out
    assert re.search(r"ok +OPENAI_API_KEY +set", out)
    assert re.search(r"note +ANTHROPIC_API_KEY +not set", out)


def test_the_extras_of_a_clone_are_those_of_its_pyproject(
    port: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "requires", lambda _: ["click; extra == 'of-an-older-installation'"])

    _, found = examined(capsys, "--port", str(port))

    extras = {name.removeprefix("extra ") for name in found if name.startswith("extra ")}
    assert {"a2a", "ag-ui", "bedrock", "journal", "mcp", "telemetry", "vertex"} <= extras
    assert extras.isdisjoint({"all", "docs", "examples", "of-an-older-installation", "otel", "test"})


def test_an_extra_that_is_missing_is_told_with_its_command(
    port: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checks, "_FOLDER", tmp_path)
    requirements = [
        "msgspec>=0.19",
        "click>=8.2; extra == 'cli'",
        'uvloop>=0.19; sys_platform != "win32"',
        'nothing-like-this>=2; extra == "journal"',
        "click>=8.2; extra == 'journal'",
        "nothing-like-this; extra == 'test'",
    ]
    monkeypatch.setattr(checks, "requires", lambda _: requirements)

    _, found = examined(capsys, "--port", str(port))

    assert {name: check for name, check in found.items() if name.startswith("extra ")} == {
        "extra cli": ("ok", "installed"),
        "extra journal": ("note", "missing nothing-like-this: pip install 'miniagents[journal]'"),
    }


async def written(path: Path) -> Path:
    """A journal that nobody has open."""
    async with ActorSystem(journal=SqliteJournal(path), control=False):
        pass
    return path


def test_a_journal_is_read_and_one_that_is_none_is_wrong(port: int, capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("no journal")
    path = asyncio.run(written(tmp_path / "yes.db"))

    status, found = examined(capsys, "--port", str(port), "--journal", str(path))
    assert (status, found["journal"][0]) == (0, "ok")
    status, found = examined(capsys, "--port", str(port), "--journal", str(tmp_path / "no.db"))
    assert status == 1
    assert "is no journal of miniagents" in found["journal"][1]


def test_a_process_whose_loop_does_not_answer_is_wrong(
    port: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = [Process(Path("s"), 17, None, None, None), Process(Path("t"), 18, "ours", "app.py", None)]
    monkeypatch.setattr(checks, "processes", lambda: processes)

    assert main(["doctor", "--port", str(port)]) == 1

    out = capsys.readouterr().out
    assert re.search(r"wrong +running +process 17, its event loop does not answer", out)
    assert re.search(r"ok +running +process 18, ours, app.py", out)
