"""`watch`: the terminal in which a process is watched, from its start to its end."""

import sys

from miniagents.cli.agents.terminal import sane_terminal
from miniagents.cli.running.processes import the_process
from miniagents.errors import InvalidOptionError, MissingDependencyError


def watch(wanted: str | None, every: float) -> int:
    """Watch a process until the user ends it.

    Args:
        wanted: The id of the process or the name of its system; None for the only one.
        every: Seconds between two looks.

    Returns:
        The exit status: 0 after `q`, 130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        CommandError: There is no such process.
        InvalidOptionError: There is no terminal.
        MissingDependencyError: textual is not installed.
    """
    try:
        from miniagents.cli.top.app import TopApp
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"miniagents top needs {error.name}: pip install 'miniagents[cli]'") from error
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidOptionError("top needs a terminal; use `miniagents tree` or `miniagents ps` in a pipe")
    process = the_process(wanted)
    with sane_terminal():
        return TopApp(process, every).run() or 0
