"""`carry_out`: one command for a journal, from its arguments to its exit status."""

import argparse
import io
import sys
from collections.abc import Callable
from typing import Any

from miniagents.cli.operate.printing import envelope
from miniagents.errors import InvalidOptionError

FAILED = 1
MISTAKE = 2


def carry_out(args: argparse.Namespace, command: str, do: Callable[[Any], Any], show: Callable[[Any], str]) -> int:
    """Do what a command asks for, and print the result.

    Args:
        args: The parsed arguments: `journal`, `json`, and `modules` where modules of the user's are needed.
        command: The command as it was typed, for the JSON object: "jobs list".
        do: Asks a `Target`, and returns the result in the types of JSON.
        show: Returns the result as text.

    Returns:
        The exit status: 0, 1 for what could not be done, 2 for a mistake of the user.
    """
    # Not imported at the top: help loads no journal.
    from miniagents.cli.operate.asking import Target
    from miniagents.control.protocol import CommandError, mistake

    is_json = getattr(args, "json", False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for a terminal that has not all characters
    try:
        try:
            result = do(Target(getattr(args, "journal", None), getattr(args, "modules", ())))
        except UnicodeError as error:  # of an argument or the input; the journal holds none that is wrong
            raise mistake(f"this is no text in UTF-8: {error}") from error
        except InvalidOptionError as error:
            raise mistake(str(error)) from error
    except CommandError as error:
        if is_json:
            print(envelope(command, error={"kind": error.kind, "text": str(error)}))
        else:
            print(f"miniagents: error: {' '.join(str(error).split())}", file=sys.stderr)
        return MISTAKE if error.kind == "mistake" else FAILED
    print(envelope(command, result) if is_json else show(result))
    return 0
