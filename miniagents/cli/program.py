"""`program`: the list of the commands of `miniagents`, each with the place of its code."""

import click

from miniagents.ext.command_line import DeferredCommand, DeferredGroup

_AGENTS, _PROCESS, _JOURNAL, _SETUP = "Agents", "A running process", "What is in a journal", "Projects and machines"

_COMMANDS = (
    ("run", "miniagents.cli.agents.command:run", _AGENTS),
    ("chat", "miniagents.cli.agents.command:chat", _AGENTS),
    ("eval", "miniagents.cli.agents.command:evaluate", _AGENTS),
    ("record", "miniagents.cli.agents.command:record", _AGENTS),
    ("replay", "miniagents.cli.agents.command:replay", _AGENTS),
    ("serve", "miniagents.ext.serving.command:serve", _AGENTS),
    ("mcp", "miniagents.ext.serving.mcp.command:mcp", _AGENTS),
    ("top", "miniagents.cli.top.command:top", _PROCESS),
    ("tree", "miniagents.cli.running.tree:tree", _PROCESS),
    ("ps", "miniagents.cli.running.calls:ps", _PROCESS),
    ("diagnose", "miniagents.cli.running.diagnosis:diagnose", _PROCESS),
    ("jobs", "miniagents.cli.operate.jobs:jobs", _JOURNAL),
    ("pending", "miniagents.cli.operate.waits:pending", _JOURNAL),
    ("deliver", "miniagents.cli.operate.waits:deliver", _JOURNAL),
    ("dead-letters", "miniagents.cli.operate.dead_letters:dead_letters", _JOURNAL),
    ("journal", "miniagents.cli.operate.journal:journal", _JOURNAL),
    ("new", "miniagents.cli.setup.command:new", _SETUP),
    ("doctor", "miniagents.cli.setup.command:doctor", _SETUP),
    ("bench", "miniagents.cli.bench.command:bench", _SETUP),
)

_SUMMARIES = {
    "run": "Call an agent, and print its replies as they stream.",
    "chat": "Talk to an agent in the terminal.",
    "eval": "Let an agent work on cases, and check its replies.",
    "record": "Call an agent as `run` does, and record what the observer's page would show into FILE.",
    "replay": "Show a recording in the browser, with a time slider, until Ctrl-C.",
    "serve": "Serve agents over HTTP, with OpenAI-compatible endpoints.",
    "mcp": "Serve agents as tools to an MCP client that starts the command.",
    "top": "Watch a running process in the terminal: its actors and its calls, live.",
    "tree": "Show the supervision tree of a running process.",
    "ps": "List the calls of agents that are under way, or cancel one.",
    "diagnose": "Tell what makes a running process slow, with the evidence.",
    "new": "Make a project to start from: an agent, its test, and a pyproject.",
    "doctor": "Look whether this machine has what agents need.",
    "bench": "Measure the runtime on this machine, or an agent or actor of your own.",
    "jobs": "List, show or cancel jobs.",
    "pending": "List what waits for an answer.",
    "deliver": "Answer what waits.",
    "dead-letters": "List, show, resend or drop dead letters.",
    "journal": "Look after the file of a journal.",
}
"""The first lines of the help of the commands, so that the help of the program loads none of them."""

_EXAMPLES = """
  miniagents COMMAND --help
"""


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        # Looked up only here, since that loads forty modules.
        from importlib.metadata import version

        click.echo(f"miniagents {version('miniagents')}")
        ctx.exit()


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=DeferredGroup, invoke_without_command=True, epilog=_EXAMPLES, context_settings=_SETTINGS)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def program(ctx: click.Context) -> None:
    """An actor runtime for LLM agents in Python."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _name, _target, _section in _COMMANDS:
    program.add_command(DeferredCommand(_name, _target, _SUMMARIES[_name], _section))
