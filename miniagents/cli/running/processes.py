"""The processes of this user that can be asked, and the choice of one of them."""

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from miniagents.cli.printing import plain
from miniagents.control import CommandError, NotListeningError, ask, live_sockets
from miniagents.control.peer import peer_process
from miniagents.control.protocol import failed, mistake

_PATIENCE = 2.0
"""Seconds that a process has to say who it is. One that blocks its loop for longer is listed without its name."""


class Process(NamedTuple):
    """A process that can be asked, or a system in it.

    Attributes:
        socket: The path of its control socket.
        pid: Its id; None if it does not answer, and the platform does not tell.
        system: The name of the system; None if it does not answer.
        program: The program that it runs; None if it does not answer.
        journal: The path of its journal; None without one.
    """

    socket: Path
    pid: int | None
    system: str | None
    program: str | None
    journal: str | None

    def __str__(self) -> str:
        parts = [f"process {self.pid or 'unknown'}"]
        if self.system is None:
            parts.append("its event loop does not answer")
        else:
            parts += [f"{plain(self.system)}", plain(self.program)]
        return ", ".join(parts)


def processes() -> list[Process]:
    """Return the processes of this user that can be asked, without this one."""
    found = []
    for path in live_sockets():
        try:
            hello = ask(path, "hello", {}, patience=_PATIENCE)
            process = Process(path, hello["pid"], hello["system"], hello.get("program"), hello["journal"])
        except NotListeningError:  # it has just ended
            continue
        except (CommandError, KeyError, TypeError):
            process = Process(path, _pid_at(path), None, None, None)
        if process.pid != os.getpid():
            found.append(process)
    return found


def the_process(wanted: str | None) -> Process:
    """Return the process that a command is for.

    Args:
        wanted: The id of the process or the name of its system, as the user gave it; None for the only one.

    Raises:
        CommandError: There is none, or there are several and nobody can be asked which.
    """
    found = processes()
    if wanted is not None:
        found = [process for process in found if wanted in (str(process.pid), process.system)]
    if not found and wanted is not None:
        raise mistake(f"no process {wanted} listens for commands of this user")
    if not found:
        raise mistake(
            "no process listens for commands: start it with MINIAGENTS_CONTROL=1, with MiniAgents(control=True), or by "
            "`miniagents run`, `chat` or `serve`"
        )
    if len(found) == 1:
        return found[0]
    if can_ask():
        return found[choice([str(process) for process in found])]
    which = "; ".join(map(str, found))
    raise mistake(f"several processes listen for commands; say which by --process ID or NAME: {which}")


def ask_process(process: Process, command: str, arguments: dict[str, Any], *, patience: float = 30.0) -> Any:
    """Ask a process.

    Args:
        process: The process.
        command: The name of the command.
        arguments: Its arguments.
        patience: Seconds to wait for the answer.

    Returns:
        The result, in the types of JSON.

    Raises:
        CommandError: It was refused, or failed, or the process has ended.
    """
    try:
        return ask(process.socket, command, arguments, patience=patience)
    except NotListeningError as error:
        raise failed(f"{process} has ended") from error


def can_ask() -> bool:
    """Return True if there is somebody at a terminal who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def choice(items: Sequence[str]) -> int:
    """List items on standard error, and return the index of the one that the user chooses."""
    for number, item in enumerate(items, 1):
        click.echo(f"  {number}  {item}", err=True)
    chosen: int = click.prompt("Which one", type=click.IntRange(1, len(items)), err=True)
    return chosen - 1


def _pid_at(path: Path) -> int | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(str(path))
            return peer_process(connection)
        except OSError:
            return None
