"""The `miniagents` command."""

import argparse
from importlib.metadata import version


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What was typed after `miniagents`; None for those of this process.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="miniagents", description="An actor runtime for LLM agents in Python.")
    parser.add_argument("--version", action="version", version=f"miniagents {version('miniagents')}")
    parser.parse_args(arguments)
    parser.print_help()
    return 0
