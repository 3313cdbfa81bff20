"""`main`: the entry point of the `miniagents` command."""

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The arguments after `miniagents`; None for those of this process.

    Returns:
        The exit status: 0 for success, 1 for a failure, 2 for a mistake of the user, 130 after Ctrl-C.

    Raises:
        SystemExit: With status 0 after the help or the version, and with 2 for arguments that cannot be parsed.

    Example:
        >>> main(["bench", "--only", "tell", "--repeats", "0"])
        2
    """
    try:
        # Not imported at the top: the package is installed without click, too.
        from miniagents.cli.program import program
        from miniagents.ext.command_line import run
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print("miniagents: error: the command needs click: pip install 'miniagents[cli]'", file=sys.stderr)
        return 2
    return run(program, arguments, "miniagents")
