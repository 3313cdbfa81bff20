"""`miniagents new`: a project that works, and names that do not."""

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from miniagents.cli import main
from miniagents.cli.setup import project
from tests.cli.tmux import ROOT


def test_the_project_has_an_agent_whose_test_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "my-shop", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    assert all((tmp_path / "my-shop" / file).is_file() for file in result["files"])

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "my-shop",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert "1 passed" in done.stdout
    settings = tomllib.loads((tmp_path / "my-shop" / "pyproject.toml").read_text())["project"]
    assert settings["dependencies"] == [result["requirement"]]
    assert "miniagents[cli,serve]" in settings["optional-dependencies"]["test"], "the README uses these commands"


@pytest.mark.parametrize(
    ("direct_url", "required"),
    [
        ('{"url": "file:///wheels/miniagents-1.0-py3-none-any.whl"}', "miniagents @ file:///wheels/miniagents-1.0"),
        (
            '{"url": "file:///home/ada/MiniAgents", "dir_info": {"editable": true}}',
            "miniagents @ file:///home/ada/Mini",
        ),
        (None, "miniagents==1.0"),
    ],
)
def test_the_requirement_names_where_this_one_came_from(
    direct_url: str | None, required: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        version = "1.0"

        def read_text(self, _: str) -> Any:
            return direct_url

    monkeypatch.setattr(project, "distribution", lambda _: Installed())

    assert project.requirement().startswith(required)


def test_a_clone_that_is_not_installed_is_named_by_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(project, "distribution", unknown)

    assert project.requirement() == f"miniagents @ file://{ROOT}"


@pytest.mark.parametrize("name", ["Shop", "my shop", "../shop", "-x-", "", "1shop", "json", "class", "miniagents"])
def test_a_name_that_is_none_is_a_mistake_and_makes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["new", "--", name]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("miniagents: error: ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()

    assert main(["new", "shop"]) == 2

    assert "exists already" in capsys.readouterr().err
    assert list((tmp_path / "shop").iterdir()) == []
