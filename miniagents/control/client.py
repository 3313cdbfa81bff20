"""The client of a control socket: it asks one question, and waits for the answer. It blocks, and needs no loop."""

import socket
from pathlib import Path
from typing import Any

import msgspec

from miniagents.control.protocol import Answer, CommandError, Request, failed, line_of
from miniagents.errors import MiniAgentsError

PATIENCE = 60.0
"""Seconds that a process has to answer."""

_PIECE = 65536


class NotListeningError(MiniAgentsError):
    """No process listens at the socket: it has ended, or was killed."""


def ask(path: Path, command: str, arguments: dict[str, Any], *, patience: float = PATIENCE) -> Any:
    """Ask a process to carry out a command.

    Args:
        path: The path of its control socket.
        command: The name of the command.
        arguments: Its arguments, which JSON can carry.
        patience: Seconds to wait for the answer.

    Returns:
        The result, as JSON has it.

    Raises:
        NotListeningError: Nobody listens there.
        CommandError: The process has refused the command, or it failed, or did not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotListeningError(f"{path}: nobody listens there") from error
        except OSError as error:
            raise failed(f"{path}: the process cannot be asked: {error}") from error
        try:
            connection.sendall(line_of(Request(command, arguments)))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has refused us before it read all, and says why
        except TimeoutError:
            raise failed(f"{path}: the process did not take the request within {patience:g} s") from None
        try:
            answer = msgspec.json.decode(_line(connection), type=Answer)
        except TimeoutError:
            raise failed(f"{path}: the process did not answer within {patience:g} s; its event loop is busy") from None
        except (OSError, EOFError):
            raise failed(f"{path}: the process ended before it answered; look whether it was done") from None
        except msgspec.DecodeError as error:
            raise failed(f"{path}: what answers there is not a process of miniagents: {error}") from None
    if answer.error is not None:
        raise CommandError(answer.error.text, kind=answer.error.kind)
    return answer.result


def _line(connection: socket.socket) -> bytes:
    pieces: list[bytes] = []
    while not pieces or not pieces[-1].endswith(b"\n"):
        piece = connection.recv(_PIECE)
        if not piece:
            raise EOFError
        pieces.append(piece)
    return b"".join(pieces)
