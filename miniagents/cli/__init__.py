"""The `miniagents` command."""

from miniagents.cli.command import main

__all__ = ["main"]
