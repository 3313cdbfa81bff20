"""`Commands`: the type of argparse's collection of sub-commands, which argparse itself keeps private."""

import argparse
from typing import Protocol


class Commands(Protocol):
    """The collection of sub-commands."""

    def add_parser(
        self,
        name: str,
        *,
        help: str = ...,
        description: str | None = ...,
        formatter_class: type[argparse.HelpFormatter] = ...,
    ) -> argparse.ArgumentParser:
        """Add a sub-command, and return its parser."""
