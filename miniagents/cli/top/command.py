"""`miniagents top`: the options of the command."""

import click

from miniagents.cli.running.options import named_process, process_option
from miniagents.ext.command_line import Command

_EXAMPLES = """
  miniagents top                       the only process
  miniagents top --process swarm --every 0.25
"""


@click.command("top", cls=Command, epilog=_EXAMPLES)
@click.option(
    "--every",
    type=click.FloatRange(0.1, 3600.0),
    metavar="SECONDS",
    default=1.0,
    show_default=True,
    help="Time between two looks at the process.",
)
@process_option
def top(every: float) -> int:
    """Watch a running process in the terminal: its actors and its calls, live.

    Arrow keys move, Enter opens and closes an actor, c shows the calls, k cancels the selected call, p pauses, and q
    ends.
    """
    # Not imported at the top: help loads no terminal.
    from miniagents.cli.top.watching import watch

    return watch(named_process(), every)
