"""When a system has a control socket."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from miniagents import ActorSystem
from miniagents.control import address, live_sockets
from miniagents.control.system.stacks import stack_path
from miniagents.journal import SqliteJournal
from tests.control.system.conftest import Asked

pytestmark = pytest.mark.real_time


async def test_a_system_without_a_journal_listens_only_where_it_is_asked_to(runtime: Path) -> None:
    async with ActorSystem() as system:
        assert system.control is None
        assert not runtime.exists()
    async with ActorSystem(control=True) as system:
        assert system.control is not None
        assert live_sockets() == [system.control.path]
    assert live_sockets() == []


@pytest.mark.parametrize(("value", "listens"), [("1", True), ("0", False), ("", False)])
async def test_the_environment_asks_for_it(value: str, listens: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIAGENTS_CONTROL", value)

    async with ActorSystem() as system:
        assert (system.control is not None) is listens
    async with ActorSystem(control=False) as system:
        assert system.control is None


async def test_the_socket_of_a_journal_answers_for_the_system_too_and_can_be_turned_off(
    asked: Asked, tmp_path: Path
) -> None:
    async with ActorSystem(journal=SqliteJournal(tmp_path / "a.db")) as system:
        assert (await asked(system, "system.tree"))["nodes"][0]["path"] == "/"
    async with ActorSystem(journal=SqliteJournal(tmp_path / "b.db"), control=False) as system:
        assert system.control is None


@pytest.mark.parametrize(("control", "has_thread"), [(None, False), (True, True)])
async def test_a_system_that_listens_for_its_journal_alone_has_no_thread_for_stacks(
    control: bool | None, has_thread: bool, tmp_path: Path
) -> None:
    async with ActorSystem(journal=SqliteJournal(tmp_path / "a.db"), control=control) as system:
        assert system.control is not None
        assert stack_path(system.control.path).exists() is has_thread


async def test_names_of_sockets_are_short_and_no_two_are_equal() -> None:
    async with ActorSystem(control=True) as first, ActorSystem(control=True) as second:
        assert first.control is not None
        assert second.control is not None
        paths = {first.control.path, second.control.path}

    assert [len(path.name) for path in paths] == [21, 21]


async def test_where_there_can_be_no_socket_the_system_runs_and_that_is_logged(
    monkeypatch: pytest.MonkeyPatch, log: list[Any]
) -> None:
    monkeypatch.setattr(address, "_folders", list)

    async with ActorSystem(control=True) as system:
        assert system.control is None

    assert [entry["event"] for entry in log] == ["control.not_open"]


def test_both_sockets_of_a_dead_process_are_removed_when_somebody_looks(runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    path = runtime / "0123456789abcdef.sock"
    for dead in (path, path.with_suffix(".stack")):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(dead))
        os.utime(dead, (1, 1))

    assert live_sockets() == []
    assert list(runtime.iterdir()) == []
