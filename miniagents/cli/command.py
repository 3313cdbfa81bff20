"""The command line: the sub-commands, their options, and the form of a usage error.

A sub-command is a function that adds its parser, and sets `run=` to a function of the parsed arguments that returns the
exit status. Optional libraries are imported when the command runs, so that `--help` works without the extras.
"""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from miniagents.cli.bench import add_bench
from miniagents.cli.commands import Commands
from miniagents.cli.operate import add_dead_letters, add_deliver, add_jobs, add_journal, add_pending
from miniagents.errors import InvalidOptionError, MissingDependencyError
from miniagents.ext.serving.command import configure as configure_serve
from miniagents.ext.serving.mcp.command import configure as configure_mcp


def add_serve(commands: Commands) -> None:
    """Add the parser of `miniagents serve`."""
    configure_serve(commands.add_parser("serve", help="serve agents over HTTP, with OpenAI-compatible endpoints"))


def add_mcp(commands: Commands) -> None:
    """Add the parser of `miniagents mcp`."""
    configure_mcp(commands.add_parser("mcp", help="serve agents as tools to an MCP client that starts the command"))


COMMANDS: tuple[Callable[[Commands], None], ...] = (
    add_bench,
    add_serve,
    add_mcp,
    add_jobs,
    add_pending,
    add_deliver,
    add_dead_letters,
    add_journal,
)

INTERRUPTED = 130
"""The exit status after Ctrl-C, as in shells."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The arguments after `miniagents`; None for those of this process.

    Returns:
        The exit status: 0 for success, 1 for a failure, 2 for a usage error, 130 after Ctrl-C.

    Example:
        >>> main(["bench", "--only", "tell", "--repeats", "0"])
        2
    """
    parser = argparse.ArgumentParser(prog="miniagents", description="An actor runtime for LLM agents in Python.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    parsed = parser.parse_args(arguments)
    if not hasattr(parsed, "run"):
        parser.print_help()
        return 0
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except (InvalidOptionError, MissingDependencyError) as error:
        print(f"miniagents: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python itself writes there at its exit
        return 0
    return status


class _Version(argparse.Action):
    """Prints the version. Only then is it looked up, since that loads forty modules."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"miniagents {version('miniagents')}")
        parser.exit()
