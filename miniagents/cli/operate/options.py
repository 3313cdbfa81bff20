"""The parsers of the commands for a journal, and the options that all of them have."""

import argparse
import getpass
from collections.abc import Callable

from miniagents.cli.commands import Commands

ENVIRONMENT = "MINIAGENTS_JOURNAL"

Run = Callable[[argparse.Namespace], int]


def add_command(commands: Commands, name: str, *, help: str, examples: str, run: Run) -> argparse.ArgumentParser:
    """Add a command for a journal, and return its parser.

    Args:
        commands: The commands to which it is added.
        name: Its name.
        help: What it does, for the list of commands and the head of its own help.
        examples: Lines with examples.
        run: Runs it, and returns the exit status.
    """
    parser = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.\n\n{examples.strip(chr(10))}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Without defaults: those of a sub-command would replace what was said before its name.
    parser.add_argument(
        "--journal",
        metavar="PATH",
        default=argparse.SUPPRESS,
        help=f"the file of the journal (default: {ENVIRONMENT}, or that of the only process that has one)",
    )
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object, also for an error"
    )
    parser.set_defaults(run=run)
    return parser


def subcommands(parser: argparse.ArgumentParser) -> Commands:
    """Return the collection for the commands below a command."""
    return parser.add_subparsers(title="commands", metavar="COMMAND")


def add_by(parser: argparse.ArgumentParser) -> None:
    """Add the option for the name that is recorded with an answer or a cancel."""
    parser.add_argument("--by", metavar="NAME", help="who does it (default: the login of the user)")


def login() -> str:
    """Return the login of the user, or "" for a user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
