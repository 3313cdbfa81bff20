"""How a command reaches a journal: through the process that has it, or by itself."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from miniagents.agents.durable.changes import changes_of
from miniagents.cli.log import log_to_stderr
from miniagents.cli.operate.options import ENVIRONMENT
from miniagents.cli.running.processes import can_ask, choice, processes
from miniagents.control import CommandError, NotListeningError, ask, sockets_of
from miniagents.control.client import PATIENCE
from miniagents.control.protocol import failed, mistake
from miniagents.errors import JournalError, JournalLockedError, MiniAgentsError
from miniagents.ext.importing import import_named
from miniagents.journal import SqliteJournal
from miniagents.journal.operating import Operator, commands_of
from miniagents.journal.sqlite.schema import APPLICATION_ID

_SETTLING = 3.0
"""Seconds that a process which has the journal, and does not listen, has to start or to end."""

_LOOK_EVERY = 0.05

_HEAD = 100
_MAGIC = b"SQLite format 3\0"
_APPLICATION = slice(68, 72)
_ROLLBACK = (18, 1)
"""The byte of the head that says how the file is written, and what stands there without a write-ahead log."""


class Target:
    """A journal that commands are for.

    Args:
        path: The file that was named on the command line, or None.
        modules: Modules of the user's to import, whose agents are compared with those that have run.

    Raises:
        CommandError: It is not clear which journal is meant, or there is none.
        InvalidOptionError: A module cannot be imported.
    """

    def __init__(self, path: str | None, modules: Sequence[str] = ()) -> None:
        named = path or os.environ.get(ENVIRONMENT)
        self.path = Path(named).absolute() if named else _only_one()
        if not self.path.is_file():
            raise mistake(f"{self.path}: there is no such file; name the journal by --journal or {ENVIRONMENT}")
        self._needs_file = bool(modules)
        for name in modules:
            import_named(name)

    def ask(self, command: str, arguments: dict[str, Any], *, patience: float = PATIENCE) -> Any:
        """Carry out a command, in the process that has the journal, or here if none has it.

        Args:
            command: The name of the command.
            arguments: Its arguments.
            patience: Seconds to wait for the answer of another process.

        Returns:
            The result, in the types of JSON.

        Raises:
            CommandError: It was refused, or failed.
        """
        (result,) = self.ask_all([(command, arguments)], patience=patience)
        return result

    def ask_all(self, commands: Sequence[tuple[str, dict[str, Any]]], *, patience: float = PATIENCE) -> list[Any]:
        """Carry out commands one after the other, as `ask` does. If none has the journal, it is opened once for all.

        Args:
            commands: The names of the commands, each with its arguments.
            patience: Seconds to wait for each answer of another process.

        Returns:
            The results, in the types of JSON.

        Raises:
            CommandError: One was refused, or failed. Those before it are done, those after it are not.
        """
        results: list[Any] = []
        until = time.monotonic() + _SETTLING
        while True:
            for socket in sockets_of(self.path) if not self._needs_file else ():
                try:
                    for command, arguments in commands[len(results) :]:
                        results.append(ask(socket, command, arguments, patience=patience))
                    return results
                except NotListeningError:  # a dead process has left it
                    pass
            try:
                asyncio.run(self._ask_file(commands, results))
                return results
            except JournalLockedError as error:
                if self._needs_file:
                    raise mistake(
                        f"{self.path} is open in process {error.pid or 'unknown'}, which compares with its own code: "
                        f"leave --import out, or check a copy (miniagents journal export)"
                    ) from None
                if time.monotonic() > until:
                    raise mistake(
                        f"{self.path} is open in process {error.pid or 'unknown'}, which answers no commands of this "
                        f"user; end it first, or give the command as its user"
                    ) from None
                time.sleep(_LOOK_EVERY)

    async def _ask_file(self, commands: Sequence[tuple[str, dict[str, Any]]], results: list[Any]) -> None:
        """Carry out the commands that have no result yet, in the file."""
        journal = self._open()
        try:
            known = commands_of(Operator(journal, changes_of))
            for command, arguments in commands[len(results) :]:
                results.append(await known[command](arguments))
        except CommandError:
            raise
        except MiniAgentsError as error:
            raise failed(str(error)) from error
        finally:
            await journal.close()

    def _open(self) -> SqliteJournal:
        log_to_stderr()
        try:
            with self.path.open("rb") as file:
                owner, head = os.fstat(file.fileno()).st_uid, file.read(_HEAD)
        except OSError as error:
            raise mistake(f"{self.path} cannot be read: {error.strerror}") from error
        if not head.startswith(_MAGIC) or head[_APPLICATION] != APPLICATION_ID.to_bytes(4, "big"):
            raise mistake(f"{self.path} is no journal of miniagents, or its first page is damaged")
        # Files beside it that this user made would keep its own user out.
        if hasattr(os, "geteuid") and owner != os.geteuid():
            raise mistake(f"{self.path} belongs to user {owner}; give the command as that user")
        place, without_log = _ROLLBACK
        journal = SqliteJournal(self.path, rollback_journal=head[place] == without_log)
        try:
            journal.open()
        except JournalLockedError:
            raise
        except JournalError as error:
            raise mistake(str(error)) from error
        return journal


def _only_one() -> Path:
    """Return the journal of the only process that has one.

    Raises:
        CommandError: There is none, or there are several and nobody can be asked which.
    """
    having = {process.journal: process for process in processes() if process.journal is not None}
    if not having:
        raise mistake(f"no process has a journal open; name the file by --journal or {ENVIRONMENT}")
    journals = sorted(having)
    names = [f"{path} (process {having[path].pid})" for path in journals]
    if len(journals) > 1 and not can_ask():
        raise mistake(f"several processes have a journal open; say which by --journal: {', '.join(names)}")
    return Path(journals[0] if len(journals) == 1 else journals[choice(names)])
