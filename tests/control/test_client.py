"""`ask`: what a client is told when the process at the other end is gone, busy, or another one."""

import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from miniagents.control import CommandError, NotListeningError, ask


@pytest.fixture
def path() -> Iterator[Path]:
    """The path of a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "s.sock"


@pytest.fixture
def listener(path: Path) -> Iterator[socket.socket]:
    """A socket at which a process listens that never answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        yield listening


def test_where_nobody_listens_the_client_is_told_so(path: Path) -> None:
    with pytest.raises(NotListeningError):
        ask(path, "hello", {})


def test_the_socket_of_a_dead_process_is_told_from_one_that_does_not_answer(
    path: Path, listener: socket.socket
) -> None:
    listener.close()

    with pytest.raises(NotListeningError):
        ask(path, "hello", {})


def test_a_process_whose_loop_is_busy_is_waited_for_as_long_as_the_patience(
    path: Path, listener: socket.socket
) -> None:
    with pytest.raises(CommandError, match=r"did not answer within 0\.05 s; its event loop is busy") as info:
        ask(path, "hello", {}, patience=0.05)
    assert info.value.kind == "failed"


@pytest.mark.parametrize(
    ("reply", "text"), [(b"", "ended before it answered"), (b'{"resu', "ended before"), (b"hi\n", "not a process")]
)
def test_an_answer_that_is_none_is_an_error(path: Path, listener: socket.socket, reply: bytes, text: str) -> None:
    def reply_once() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(reply)

    thread = threading.Thread(target=reply_once)
    thread.start()

    with pytest.raises(CommandError, match=text):
        ask(path, "hello", {}, patience=20)
    thread.join()
