"""`miniagents serve`: what it says when it cannot. (How it serves, drains and ends: test_app.)"""

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import miniagents.ext.serving
from miniagents.ext.serving import command
from miniagents.testing import FakeProvider

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["tests.ext.serving.agents"], "module:name"),
        (["tests.ext.serving.nowhere:app"], "no module named"),
        (["tests.ext.serving.agents:nobody"], "has no attribute 'nobody'"),
        (["tests.ext.serving.agents:echo", "--grace", "-1"], "--grace= must be 0 s or more"),
        (
            ["tests.ext.serving.agents:echo", "--grace", "inf"],
            "--grace= must be 0 s or more, and finite, not inf",
        ),
        (["tests.ext.serving.agents:echo", "--grace", "nan"], "--grace= must be 0 s or more"),
        (["tests.ext.serving.agents:echo", "--port", "-1"], "--port must be 0 to 65535, not -1"),
        (["tests.ext.serving.agents:echo", "--port", "65536"], "--port must be 0 to 65535"),
        (["tests.ext.serving.test_command:bare", "--grace", "1"], "there is none here"),
        (["tests.ext.serving.test_command:bare", "--front-end", "ai-sdk"], "there is none here"),
        (["tests.ext.serving.agents:echo", "--front-end", "chat"], "'ag-ui', 'ai-sdk', not 'chat'"),
        (["json:dumps"], "neither an agent nor an app"),
        (["json:loads"], "decorate it with @miniagent"),
        (["tests.ext.serving.test_command:makes_app"], "if it makes the app, write `agents = makes_app()` in tests."),
        (["json:JSONDecoder"], "neither an agent nor an app"),
        (["tests.ext.serving.agents:soon"], "neither an agent nor an app"),
        (["tests.ext.serving.servers:TOKEN"], "neither an agent nor an app"),
    ],
)
def test_it_says_what_is_wrong(arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = command.main(arguments)

    assert status == 2
    assert what in capsys.readouterr().err


async def later() -> None:
    """A function that is async, so that its call gives no app."""


@pytest.mark.parametrize("where", ["json:loads", "tests.ext.serving.test_command:later"])
def test_a_function_that_cannot_be_called_for_an_app_is_taken_for_no_factory(
    where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([where]) == 2

    problem = capsys.readouterr().err
    assert "decorate it with @miniagent" in problem
    assert "makes the app" not in problem


def makes_app() -> Any:
    """Returns an app, as a factory."""


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An app in which no agents are."""


def test_an_error_in_the_users_module_is_shown_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "broken_for_serve.py").write_text("import json\n\napp = json.nothing\n")
    (tmp_path / "lacking_for_serve.py").write_text("import nothing_at_all\n")
    (tmp_path / "leaving_for_serve.py").write_text("import sys\n\nsys.exit(7)\n")

    assert [command.main([f"{name}_for_serve:app"]) for name in ("broken", "lacking", "leaving")] == [2, 2, 2]

    said = capsys.readouterr().err
    assert 'broken_for_serve.py", line 3' in said
    assert "AttributeError: module 'json' has no attribute 'nothing'" in said
    assert 'lacking_for_serve.py", line 1' in said
    assert 'leaving_for_serve.py", line 3' in said
    assert "importlib" not in said


HANGING = """
import asyncio, time

from miniagents import InteractionContext, miniagent
from miniagents.ext.serving import agent_app


@miniagent
async def echo(ctx: InteractionContext) -> None:
    ctx.reply("Hi")


async def start(system) -> None:
    print("it starts", flush=True)
    {hang}


app = agent_app(echo, auth=None, admin_auth=None, on_start=start, grace=1.0)
"""


@pytest.mark.parametrize(
    ("hang", "status"), [("await asyncio.Event().wait()", 0), ("time.sleep(1000)", 3)], ids=["waits", "blocks"]
)
def test_a_start_that_hangs_ends_on_sigterm(tmp_path: Path, hang: str, status: int) -> None:
    (tmp_path / "hanging.py").write_text(HANGING.format(hang=hang))
    arguments = [sys.executable, "-m", "miniagents.ext.serving.command", "hanging:app", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        arguments, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "it starts\n"
        process.terminate()
        assert process.wait(30) == status
        assert process.stderr is not None
        assert ("the start of the app does not end" in process.stderr.read()) == (status == 3)
    finally:
        process.kill()
        process.communicate()


def test_a_fake_provider_leaves_the_loggers_of_the_application_alone() -> None:
    names = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")

    def seen() -> list[Any]:
        loggers = [logging.getLogger(name) for name in names]
        return [(one.level, one.propagate, list(one.handlers), one.disabled) for one in loggers]

    before = seen()
    with FakeProvider("Hi"):
        assert seen() == before
    assert seen() == before


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
        2,
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


def test_a_port_that_is_taken_is_one_line_and_status_2_before_anything_starts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert command.main(["tests.ext.serving.agents:echo", "--port", str(port)]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"miniagents serve: --port {port} of 127.0.0.1 is taken by another process")


def test_a_host_that_is_unknown_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["tests.ext.serving.agents:echo", "--host", "256.0.0.1"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("miniagents serve: --host 256.0.0.1: there is no such address")


def test_where_the_application_has_configured_logging_the_lines_of_the_server_have_its_form(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "import logging, os, signal\n"
        "from miniagents import InteractionContext, miniagent\n"
        "from miniagents.ext.serving import agent_app\n"
        'logging.basicConfig(level=logging.INFO, format=\'{"line": "%(message)s"}\')\n'
        "@miniagent\n"
        "async def echo(ctx: InteractionContext) -> None: ...\n"
        "async def start(system) -> None:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "app = agent_app(echo, auth='a', admin_auth=None, on_start=start)\n"
    )
    arguments = [sys.executable, "-m", "miniagents", "serve", "shop:app", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    lines = [line for line in done.stderr.splitlines() if line]
    assert any("Waiting for application startup" in line for line in lines), done.stderr
    assert [line for line in lines if not line.startswith('{"line": ')] == []
