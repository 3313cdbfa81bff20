"""`miniagents ps`: the calls of agents that are under way in a process, and the end of one of them."""

from typing import Any

import click

from miniagents.cli.operate.options import login
from miniagents.cli.printing import plain, seconds, table
from miniagents.cli.running.options import ask_at, at_process, process_options
from miniagents.ext.command_line import Group

_EXAMPLES = """
  miniagents ps                      the calls under way, the oldest first
  miniagents ps --process 4711
  miniagents ps kill 17              cancel call 17 and all that it has started
"""


@click.group("ps", cls=Group, invoke_without_command=True, epilog=_EXAMPLES)
@process_options
@click.pass_context
def ps(ctx: click.Context) -> int | None:
    """List the calls of agents that are under way, or cancel one."""
    return _list() if ctx.invoked_subcommand is None else None


@ps.command("list")
@process_options
def list_calls() -> int:
    """List the calls under way, the oldest first, 1,000 at most."""
    return _list()


@ps.command("kill")
@click.argument("id", type=int)
@process_options
def kill(id: int) -> int:
    """Cancel a call and all that it has started."""

    def show(result: Any) -> str:
        text = f"cancelled {result['id']} ({plain(result['agent'])}) and all below it"
        if result["abandoned"]:
            stubborn = ", ".join(f"{call['id']} ({plain(call['agent'])})" for call in result["abandoned"])
            text += f"; these do not end, and their results are thrown away: {stubborn}"
        return text

    return at_process(lambda process: ask_at(process, "system.cancel", id=id, by=login()), show)


def _list() -> int:
    def show(result: Any) -> str:
        calls = result["interactions"]
        if not calls:
            return "no calls are under way"
        heads = ("ID", "AGENT", "LABEL", "BY", "STATE", "AGE", "TOKENS", "COST", "JOB")
        rows = table(heads, [_row(call) for call in calls])
        rest = result["total"] - len(calls)
        return f"{rows}\n... and {rest:,} more" if rest else rows

    return at_process(lambda process: ask_at(process, "system.interactions"), show, "ps list")


def _row(call: Any) -> tuple[object, ...]:
    cost = "-" if call["cost"] is None else f"{call['cost']:.4f}"
    parent = "-" if call["parent"] is None else call["parent"]
    about = call["id"], call["agent"], call["label"], parent
    return *about, call["state"], seconds(call["age"]), call["tokens"], cost, call["job"]
