"""`miniagents serve module:app`: the options of the command. `miniagents.ext.serving.process` does the work."""

import sys
from collections.abc import Sequence

import click

from miniagents.ext.command_line import Command, run

_EXAMPLES = """
  miniagents serve mypackage.agents:writer                  one agent, at http://127.0.0.1:8000
  miniagents serve mypackage.service:app --port 80 --host 0.0.0.0 --allowed-host agents.example.com
  MINIAGENTS_TOKEN=... miniagents serve mypackage.service:app --mcp
"""


@click.command("serve", cls=Command, epilog=_EXAMPLES)
@click.argument("app", metavar="MODULE:NAME")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=int, default=8000, show_default=True, help="The port, 0 for any.")
@click.option(
    "--grace",
    type=float,
    metavar="SECONDS",
    help="Seconds for the requests under way when the service stops (default: those of the app, 30).",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A name or address by which clients may call the service, besides those of the app; may be repeated: "
    "agents.example.com, '*.example.com', 10.0.0.7, '*'. "
    "If the app has none: localhost, and those of MINIAGENTS_ALLOWED_HOSTS, separated by commas.",
)
@click.option("--no-access-log", is_flag=True, help="Log no requests (default: one event `service.request` for each).")
@click.option(
    "--gc",
    "collector",
    type=click.Choice(["service", "python"]),
    default="service",
    help="How Python's garbage collector works: 'service' makes full collections, for which all clients wait, rare "
    "(default), 'python' leaves it as it is.",
)
@click.option("--mcp", is_flag=True, help="Serve the agents also as tools of the Model Context Protocol, at /mcp.")
@click.option("--a2a", is_flag=True, help="Serve the agents also by the Agent2Agent protocol, at /a2a/{name}.")
@click.option(
    "--front-end",
    "front_ends",
    multiple=True,
    metavar="NAME",
    help="Speak the protocol of chat front ends: 'ag-ui', or 'ai-sdk' for the Vercel AI SDK; may be repeated.",
)
def serve(
    app: str,
    host: str,
    port: int,
    grace: float | None,
    allowed_hosts: tuple[str, ...],
    no_access_log: bool,
    collector: str,
    mcp: bool,
    a2a: bool,
    front_ends: tuple[str, ...],
) -> int:
    """Serve agents over HTTP, with OpenAI-compatible endpoints.

    MODULE:NAME is an agent_app(), an app in which one is mounted, or an agent. Tokens are generated and printed, unless
    MINIAGENTS_TOKEN and MINIAGENTS_ADMIN_TOKEN have them. For clients on other machines, name the hosts that they may
    call: --allowed-host.
    """
    # Not imported at the top: help loads no agents.
    from miniagents.ext.serving import process

    return process.serve(
        app,
        host=host,
        port=port,
        grace=grace,
        allowed_hosts=allowed_hosts,
        access_log=not no_access_log,
        collector=collector,
        mcp=mcp,
        a2a=a2a,
        front_ends=front_ends,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command on its own.

    Args:
        argv: The arguments after `miniagents serve`; None for those of this process.

    Returns:
        The exit status.
    """
    return run(serve, argv, "miniagents serve")


if __name__ == "__main__":
    sys.exit(main())
