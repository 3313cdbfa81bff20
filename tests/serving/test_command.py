"""`miniagents serve`: what it says when it cannot. (How it serves, drains and ends: test_lifespan.)"""

import subprocess
import sys
from pathlib import Path

import pytest

import miniagents.ext.serving
from miniagents.ext.serving import command

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["tests.serving.agents"], "module:name"),
        (["tests.serving.nowhere:app"], "No module named"),
        (["tests.serving.agents:nobody"], "has no attribute 'nobody'"),
        (["tests.serving.agents:echo", "--grace", "-1"], "--grace must be 0 or more"),
        (["tests.serving.agents:soon", "--grace", "1"], "there is none here"),
    ],
)
def test_it_says_what_is_wrong(arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = command.main(arguments)

    assert status == 2
    assert what in capsys.readouterr().err


def ran(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )


def test_without_its_libraries_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['starlette'] = None; "
        "from miniagents.ext.serving.command import main; sys.exit(main(['a:b']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (
        1,
        "miniagents serve needs starlette and uvicorn: pip install 'miniagents[serve]'\n",
    )


def test_without_its_libraries_the_package_names_the_extra() -> None:
    code = "import sys; sys.modules['starlette'] = None; from miniagents.ext.serving import agent_app"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert "pip install 'miniagents[serve]'" in done.stderr


def test_the_public_names_are_all_there_and_sorted() -> None:
    assert miniagents.ext.serving.__all__ == sorted(miniagents.ext.serving.__all__)
    assert [name for name in miniagents.ext.serving.__all__ if not hasattr(miniagents.ext.serving, name)] == []
    assert not hasattr(miniagents.ext.serving, "nothing")
