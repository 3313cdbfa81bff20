"""The command line: the sub-commands, their options, and what a usage error looks like.

A sub-command is a function that adds its parser: it sets `run=` to a function of the parsed arguments that returns the
exit status. It imports what it needs when it runs, so that `--help` is quick and works without the extras.
"""

import argparse
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from miniagents.cli.bench import add_bench
from miniagents.errors import InvalidOptionError, MissingDependencyError
from miniagents.ext.serving.command import configure as configure_serve


def add_serve(commands: Any) -> None:
    """Add the parser of `miniagents serve`."""
    configure_serve(commands.add_parser("serve", help="serve agents over HTTP, with OpenAI-compatible endpoints"))


COMMANDS: tuple[Callable[[Any], None], ...] = (add_bench, add_serve)

INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ended, as shells count it."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What was typed after `miniagents`; None for those of this process.

    Returns:
        The exit status: 0, 1 when what was asked for failed, 2 for a usage error, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="miniagents", description="An actor runtime for LLM agents in Python.")
    parser.add_argument("--version", action="version", version=f"miniagents {version('miniagents')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    parsed = parser.parse_args(arguments)
    if not hasattr(parsed, "run"):
        parser.print_help()
        return 0
    try:
        status: int = parsed.run(parsed)
    except (InvalidOptionError, MissingDependencyError) as error:
        print(f"miniagents: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    return status
