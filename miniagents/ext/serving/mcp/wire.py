"""Agents as tools for a client that starts this process, over its standard input and output."""

import os
import sys

from miniagents.agents import MiniAgents
from miniagents.errors import InvalidOptionError
from miniagents.ext.importing import import_target


def serve_wire(where: str) -> int:
    """Serve agents as tools over the standard input and output, until the input ends.

    Args:
        where: The agent, or a list or dict of agents, as `module:name`.

    Returns:
        The exit status.
    """
    reading, writing = take_wire()
    try:
        from miniagents.ext.serving.mcp.stdio import serve_stdio
    except ModuleNotFoundError as error:
        print(f"miniagents mcp needs {error.name}: pip install 'miniagents[mcp]'", file=sys.stderr)
        return 2
    system = MiniAgents()
    try:
        system.run(serve_stdio(import_target(where), system, reading, writing))
    except InvalidOptionError as error:
        print(f"miniagents mcp: {where}: {error}", file=sys.stderr)
        return 2
    return 0


def take_wire() -> tuple[int, int]:
    """Take the standard input and output for the protocol alone, for the rest of the process.

    From now on everything else reads nothing, and what it prints goes to the error output: code of the user, its
    libraries, and the processes that they start.

    Returns:
        The descriptors of the input and of the output.
    """
    sys.stdout.flush()
    reading, writing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # the error output is closed
        os.dup2(nothing, 1)
    os.close(nothing)
    return reading, writing
