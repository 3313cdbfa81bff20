"""`miniagents record` and `replay`: a call that is recorded, and the page of the recording."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from miniagents.cli import main
from tests.cli.tmux import ROOT

AGENTS = "tests.cli.agents.agents"

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path, capsys: Capture) -> Path:
    """A recording."""
    path = tmp_path / "run.mar"
    assert main(["record", str(path), f"{AGENTS}:echo", "a secret thing"]) == 0
    assert capsys.readouterr().out == "You said: a secret thing\n"
    return path


def page_at(link: str) -> httpx2.Response:
    """The answer of a server that may just begin to listen."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return httpx2.get(link, follow_redirects=False, timeout=30)
        except httpx2.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_call_is_recorded_for_its_owner_alone_without_its_texts(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"secret" not in file.read_bytes()


def test_a_call_that_fails_is_recorded_and_status_1(tmp_path: Path, capsys: Capture) -> None:
    assert main(["record", str(tmp_path / "run.mar"), f"{AGENTS}:broken"]) == 1

    assert (tmp_path / "run.mar").stat().st_size > 0
    assert "no such luck" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_recording_is_shown_in_the_browser_until_a_signal_comes(
    file: Path, number: signal.Signals, status: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "miniagents", "replay", str(file)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            link = process.stderr.readline().split()[-1]
            page = page_at(link)
            process.send_signal(number)
            errors = process.communicate(timeout=30)[1]
        finally:
            process.kill()

    assert page.status_code < 400
    assert (process.returncode, errors) == (status, "")


def test_what_is_no_recording_is_one_line_and_status_2(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "no.mar").write_text("no recording")

    for path, text in ((tmp_path / "no.mar", "is no recording"), (tmp_path / "none.mar", "No such file")):
        assert main(["replay", str(path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("miniagents: error: ")
        assert text in line


def test_a_file_that_is_no_recording_is_not_replaced(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "mine.txt").write_text("my own text")

    assert main(["record", str(tmp_path / "mine.txt"), f"{AGENTS}:echo", "x"]) == 2

    assert "is no recording: give another name" in capsys.readouterr().err
    assert main(["record", str(tmp_path / "no" / "folder.mar"), f"{AGENTS}:echo", "x"]) == 2
    assert "cannot be written: No such file" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "my own text"


def test_a_port_that_is_taken_is_one_line_and_status_2(file: Path, capsys: Capture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert main(["replay", str(file), "--port", str(port)]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"miniagents: error: 127.0.0.1:{port}: Address already in use"
    assert main(["replay", str(file), "--port", "65536"]) == 2
    assert "--port must be 0 to 65535" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("miniagents.ext.observer", "miniagents.cli.agents.rec"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette.types", None)
    monkeypatch.setitem(sys.modules, "starlette.requests", None)

    assert main(["replay", str(tmp_path / "run.mar")]) == 2

    assert "pip install 'miniagents[observe]'" in capsys.readouterr().err
