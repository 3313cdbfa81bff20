"""`miniagents bench`: the options of the command. `miniagents.cli.bench.measuring` does the work."""

from pathlib import Path
from typing import Any

import click

from miniagents.ext.command_line import Command

_EXAMPLES = """
  miniagents bench                              the built-in workloads
  miniagents bench --only tell ask --quick
  miniagents bench mypackage.agents:writer      calls of one agent: throughput, latencies, errors, memory
  miniagents bench mypackage.actors:Counter     the same for the class of an actor
"""

_ONLY = "--only"


class _Bench(Command):
    """The command. Several names may follow `--only`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write `--only a b` as `--only a --only b`."""
        written: list[str] = []
        follows_only = False
        for argument in args:
            if argument.startswith("-"):
                follows_only = argument == _ONLY
            elif follows_only and written[-1] != _ONLY:
                written.append(_ONLY)
            written.append(argument)
        return super().parse_args(ctx, written)


@click.command("bench", cls=_Bench, epilog=_EXAMPLES)
@click.argument("target", metavar="[MODULE:AGENT]", required=False)
@click.option("--json", type=click.Path(path_type=Path), metavar="FILE", help="Write the results there, too.")
@click.option("--calls", type=int, metavar="N", help="Calls of the agent in all (default: 1000).")
@click.option("--concurrency", type=int, metavar="N", help="Calls at a time (default: 10).")
@click.option("--message", metavar="TEXT", help="What each call sends (default: Hello!).")
@click.option("--timeout", type=float, metavar="SECONDS", help="Time that a call may take (default: no bound).")
@click.option("--factory", is_flag=True, help="MODULE:AGENT is a function whose call gives the agent.")
@click.option(_ONLY, multiple=True, metavar="WORKLOAD...", help="These workloads alone; a wrong name lists them.")
@click.option("--repeats", type=int, metavar="N", help="Timed runs of each workload (default: 5).")
@click.option("--quick", is_flag=True, help="A tenth of the operations: to see whether it runs.")
def bench(**options: Any) -> int:
    """Measure the runtime on this machine, or an agent or actor of your own.

    Without MODULE:AGENT the built-in workloads run. An actor is named by its class, and is asked with a TextMessage.
    Ctrl-C ends it, and what was measured so far is shown. How to read the figures: docs/guides/benchmarking.md.
    """
    # Not imported at the top: help loads no agents.
    from miniagents.cli.bench.measuring import Options, measure

    return measure(Options(**options))
