"""The options that all commands for a journal have, and how such a command is carried out."""

import getpass
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from miniagents.ext.command_line import carry_out, json_option

if TYPE_CHECKING:
    from miniagents.cli.operate.asking import Target

ENVIRONMENT = "MINIAGENTS_JOURNAL"

_PATH = "miniagents.journal"

F = TypeVar("F", bound=Callable[..., Any])


def journal_options(function: F) -> F:
    """Add `--journal` and `--json` to a command. Below a group, both may stand before and after the name."""
    journal = click.option(
        "--journal",
        metavar="PATH",
        type=click.Path(),
        expose_value=False,
        callback=_note_path,
        help=f"The file of the journal (default: {ENVIRONMENT}, or that of the only process that has one).",
    )
    return journal(json_option(function))


def by_option(function: F) -> F:
    """Add the option for the name that is recorded with an answer or a cancel."""
    help = "The person who does it (default: the login of the user)."
    return click.option("--by", metavar="NAME", default=login, help=help)(function)


def at_journal(
    command: str, do: "Callable[[Target], Any]", show: Callable[[Any], str], *, modules: Sequence[str] = ()
) -> int:
    """Do what a command for a journal asks for, and print the result.

    Args:
        command: The command as it was typed, for the JSON object: "jobs list".
        do: Asks a `Target`, and returns the result in the types of JSON.
        show: Returns the result as text.
        modules: Modules of the user's to import.

    Returns:
        The exit status of success.

    Raises:
        CommandError: It could not be done.
        InvalidOptionError: An argument is wrong.
    """
    # Not imported at the top: help loads no journal.
    from miniagents.cli.operate.asking import Target

    path = click.get_current_context().meta.get(_PATH)
    return carry_out(lambda: do(Target(path, modules)), show, command)


def login() -> str:
    """Return the login of the user, or "" for a user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def _note_path(ctx: click.Context, _: click.Parameter, path: str | None) -> None:
    if path is not None:
        ctx.meta[_PATH] = path
