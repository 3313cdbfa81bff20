"""The control socket of a system that has a journal."""

import os
import time
from pathlib import Path
from typing import Any

from miniagents.control import Command, ControlServer, live_sockets, socket_path
from miniagents.errors import MiniAgentsError
from miniagents.journal.operating.commands import commands_of
from miniagents.journal.operating.system_operator import LiveSystem, SystemOperator
from miniagents.journal.operating.views import path_text
from miniagents.journal.sqlite import SqliteJournal
from miniagents.log import log as _log


def open_control(system: LiveSystem, journal: object) -> ControlServer | None:
    """Open the control socket of a system, in its running loop.

    A system runs without one where there can be none: on a platform without such sockets, or without a folder that
    belongs to this user alone. That is logged.

    Args:
        system: The system.
        journal: Its journal, which is open.

    Returns:
        The open server; None if the journal is not in a file, or there can be no socket.
    """
    if not isinstance(journal, SqliteJournal):
        return None
    commands = commands_of(SystemOperator(journal, system))
    commands["hello"] = _hello(system, journal.path)
    try:
        live_sockets()  # removes those that dead processes have left
        server = ControlServer(socket_path(journal.path), commands)
        server.open()
    except (OSError, AttributeError, MiniAgentsError) as error:
        _log.warning("control.not_open", path=str(journal.path), error=str(error))
        return None
    return server


def _hello(system: LiveSystem, path: Path) -> Command:
    facts = {"pid": os.getpid(), "journal": path_text(path), "system": system.name, "started_at": time.time()}

    async def hello(_: dict[str, Any]) -> Any:
        return facts

    return hello
