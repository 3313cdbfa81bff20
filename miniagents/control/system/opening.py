"""`open_control`: the control socket of a system."""

from pathlib import Path
from typing import Any

from miniagents.control.address import live_sockets, new_socket_path, socket_path
from miniagents.control.protocol import Command
from miniagents.control.server import ControlServer
from miniagents.control.system.commands import commands_of_system
from miniagents.control.system.stacks import StackServer
from miniagents.errors import MiniAgentsError
from miniagents.log import log as _log


class SystemControl(ControlServer):
    """The control socket of a system, and beside it the socket that tells where its event loop is."""

    stacks: StackServer | None = None

    async def close(self) -> None:
        """Close both."""
        if self.stacks is not None:
            self.stacks.close()
        await super().close()

    def leave_to_parent(self) -> None:
        """Give both up in a forked child."""
        if self.stacks is not None:
            self.stacks.leave_to_parent()
        super().leave_to_parent()


def open_control(
    system: Any,
    *,
    journal: Path | None = None,
    commands: dict[str, Command] | None = None,
    shows_stacks: bool = True,
) -> ControlServer | None:
    """Open the control socket of a system, in its running loop.

    A system runs without one where there can be none: on a platform without such sockets, or without a folder that
    belongs to this user alone. That is logged.

    Args:
        system: The system.
        journal: The file of its journal, after which the socket is named; None without one.
        commands: Further commands by name, beside those of every system.
        shows_stacks: Whether the place at which the event loop is can be asked for, also while it is blocked. That
            takes a thread, which waits.

    Returns:
        The open server; None if there can be none.
    """
    server = None
    try:
        live_sockets()  # removes those that dead processes have left
        path = new_socket_path() if journal is None else socket_path(journal)
        server = SystemControl(path, commands_of_system(system, journal) | (commands or {}))
        server.open()
        if shows_stacks:
            stacks = StackServer(server.path)
            stacks.open()
            server.stacks = stacks
    except (OSError, AttributeError, MiniAgentsError) as error:
        _log.warning("control.not_open", path=None if journal is None else str(journal), error=str(error))
    return server if server is not None and server.is_open else None
