"""`miniagents mcp module:agent`: the command. `miniagents.ext.serving.mcp.wire` does the work."""

import click

from miniagents.ext.command_line import Command

_EXAMPLES = """
  miniagents mcp mypackage.agents:writer       one tool
  miniagents mcp mypackage.agents:tools        a list or dict of agents
"""


@click.command("mcp", cls=Command, epilog=_EXAMPLES)
@click.argument("agent", metavar="MODULE:NAME")
def mcp(agent: str) -> int:
    """Serve agents as tools to an MCP client that starts the command.

    The client is an editor or a desktop assistant, and talks to the process over standard input and output. The process
    ends when the client closes the input. MODULE:NAME is an agent, or a list or dict of agents.
    """
    # Not imported at the top: help loads no agents.
    from miniagents.ext.serving.mcp.wire import serve_wire

    return serve_wire(agent)
