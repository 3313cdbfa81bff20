"""The options that all commands for a running process have, and how such a command is carried out."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from miniagents.ext.command_line import carry_out, json_option

if TYPE_CHECKING:
    from miniagents.cli.running.processes import Process

_PROCESS = "miniagents.process"

F = TypeVar("F", bound=Callable[..., Any])


def process_option(function: F) -> F:
    """Add `--process` to a command."""
    return click.option(
        "--process",
        metavar="ID_OR_NAME",
        expose_value=False,
        callback=_note_process,
        help="The id of the process, or the name of its system (default: the only one that listens).",
    )(function)


def process_options(function: F) -> F:
    """Add `--process` and `--json` to a command. Below a group, both may stand before and after the name."""
    return process_option(json_option(function))


def named_process() -> str | None:
    """Return the process that the user has named."""
    wanted: str | None = click.get_current_context().meta.get(_PROCESS)
    return wanted


def at_process(do: "Callable[[Process], Any]", show: Callable[[Any], str], name: str | None = None) -> int:
    """Do what a command for a process asks for, and print the result.

    Args:
        do: Asks the process, and returns the result in the types of JSON.
        show: Returns the result as text.
        name: The name of the command for the JSON object; None for that which was typed.

    Returns:
        The exit status of success.

    Raises:
        CommandError: There is no such process, or it has refused.
    """
    # Not imported at the top: help loads no sockets.
    from miniagents.cli.running.processes import the_process

    return carry_out(lambda: do(the_process(named_process())), show, name)


def ask_at(process: "Process", command: str, **arguments: Any) -> Any:
    """Ask a process; see `miniagents.cli.running.processes.ask_process`."""
    from miniagents.cli.running.processes import ask_process

    return ask_process(process, command, arguments)


def _note_process(ctx: click.Context, _: click.Parameter, wanted: str | None) -> None:
    if wanted is not None:
        ctx.meta[_PROCESS] = wanted
