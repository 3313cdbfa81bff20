"""Where control sockets are."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from miniagents import ActorSystem
from miniagents.control import address, live_sockets, socket_path, sockets_of
from miniagents.errors import MiniAgentsError


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of the user, which is tried first."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


def listening(path: Path) -> socket.socket:
    """A socket that listens there."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    return listener


def test_the_path_is_short_private_and_the_same_by_every_way_to_the_file(runtime: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 40)
    deep.mkdir()
    link = tmp_path / "link"
    link.symlink_to(deep)

    path = socket_path(deep / "swarm.db")

    assert path.parent == runtime / "miniagents"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(path)) <= 100
    assert socket_path(link / "swarm.db") == socket_path(deep / "." / "swarm.db") == path
    assert socket_path(deep / "other.db") != path


def test_a_runtime_folder_with_a_long_path_or_that_is_not_there_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    for folder in (long, tmp_path / "absent"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        assert not str(socket_path(tmp_path / "a.db")).startswith(str(tmp_path))


def test_a_folder_that_others_can_enter_is_not_used(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (runtime / "miniagents").mkdir(mode=0o700)
    (runtime / "miniagents").chmod(0o755)
    monkeypatch.setattr(address, "_folders", lambda: [runtime / "miniagents"])

    with pytest.raises(MiniAgentsError, match="others can enter it"):
        socket_path(Path("a.db"))
    assert sockets_of(Path("a.db")) == live_sockets() == []


def test_a_link_in_place_of_the_folder_is_not_followed(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (runtime / "own").mkdir(mode=0o700)
    (runtime / "miniagents").symlink_to(runtime / "own")
    monkeypatch.setattr(address, "_folders", lambda: [runtime / "miniagents"])

    with pytest.raises(MiniAgentsError, match="belongs to another user"):
        socket_path(Path("a.db"))


def test_a_socket_is_found_though_another_shell_names_no_runtime_folder(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "_folders", lambda: [runtime / "first", runtime / "second"])
    (runtime / "second").mkdir(mode=0o700)
    path = runtime / "second" / socket_path(Path("a.db")).name
    path.touch()

    assert sockets_of(Path("a.db")) == [path]


def test_sockets_of_dead_processes_are_removed_once_they_cannot_be_starting(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "_folders", lambda: [runtime / "miniagents"])
    alive, stale, starting = (socket_path(Path(name)) for name in ("alive", "stale", "starting"))
    with listening(alive):
        for path in (stale, starting):
            listening(path).close()
        for path in (alive, stale):
            os.utime(path, (1, 1))

        assert live_sockets() == [alive]

    assert not stale.exists()
    assert starting.exists()


def test_a_platform_without_sockets_of_users_has_no_control_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "_IS_THERE", False)
    monkeypatch.delattr(os, "geteuid")
    monkeypatch.delattr(socket, "AF_UNIX")

    with pytest.raises(MiniAgentsError, match="no control sockets on this platform; Linux, macOS and WSL have them"):
        socket_path(Path("/tmp/a.db"))
    assert live_sockets() == sockets_of(Path("/tmp/a.db")) == []


async def test_a_system_runs_without_a_control_socket_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch, log: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(address, "_IS_THERE", False)
    monkeypatch.delattr(os, "geteuid")
    monkeypatch.delattr(socket, "AF_UNIX")

    async with ActorSystem(control=True) as system:
        assert system.control is None

    assert [entry["event"] for entry in log] == ["control.not_open"]
    assert "on this platform" in log[0]["error"]
