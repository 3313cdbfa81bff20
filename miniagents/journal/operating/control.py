"""The commands for the journal of a system, for its control socket."""

from typing import Any

from miniagents.journal.operating.commands import commands_of
from miniagents.journal.operating.system_operator import LiveSystem, SystemOperator
from miniagents.journal.sqlite import SqliteJournal


def control_of_journal(system: LiveSystem, journal: object) -> dict[str, Any]:
    """Return the options of `miniagents.control.system.open_control` for a system that has a journal.

    Args:
        system: The system.
        journal: Its journal.

    Returns:
        `journal`, its path, and `commands`; nothing if the journal is not in a file.
    """
    if not isinstance(journal, SqliteJournal):
        return {}
    return {"journal": journal.path, "commands": commands_of(SystemOperator(journal, system))}
