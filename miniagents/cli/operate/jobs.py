"""`miniagents jobs`: list, show and cancel jobs."""

import argparse
from typing import Any

from miniagents.cli.commands import Commands
from miniagents.cli.operate.options import add_by, add_command, login, subcommands
from miniagents.cli.operate.printing import moment, plain, table
from miniagents.cli.operate.running import carry_out
from miniagents.cli.operate.waits import wait_rows

_STATES = ("running", "finished", "failed", "cancelled", "stuck")

_EXAMPLES = """
  miniagents jobs --journal swarm.db                 all jobs
  miniagents jobs list --state running --state stuck
  miniagents jobs show job-42                        one job: its interactions, and what it waits for
  miniagents jobs cancel job-42                      for good: it is not resumed
"""


def add_jobs(commands: Commands) -> None:
    """Add the parser of `miniagents jobs`."""
    parser = add_command(commands, "jobs", help="list, show or cancel jobs", examples=_EXAMPLES, run=_list)
    parser.set_defaults(state=None)
    below = subcommands(parser)
    listing = add_command(below, "list", help="list the jobs, the oldest first", examples="", run=_list)
    listing.add_argument("--state", action="append", choices=_STATES, help="only jobs in this state; may be repeated")
    showing = add_command(
        below, "show", help="show a job: its interactions, and what it waits for", examples="", run=_show
    )
    showing.add_argument("job", metavar="JOB")
    cancelling = add_command(below, "cancel", help="cancel a job for good", examples="", run=_cancel)
    cancelling.add_argument("job", metavar="JOB")
    add_by(cancelling)


def _list(args: argparse.Namespace) -> int:
    def show(result: Any) -> str:
        if not result["jobs"]:
            return "no jobs"
        heads = ("JOB", "STATE", "AGENT", "STARTED", "CHANGED", "DETAIL")
        return table(heads, [_row(job) for job in result["jobs"]])

    states = {"states": args.state} if args.state else {}
    return carry_out(args, "jobs list", lambda target: target.ask("jobs.list", states), show)


def _show(args: argparse.Namespace) -> int:
    def show(result: Any) -> str:
        job, rows = result["job"], result["rows"]
        lines = [
            f"job      {plain(job['name'])}",
            f"state    {job['state']}, since {moment(job['changed_at'])}",
            f"agent    {plain(job['agent'])}",
            f"started  {moment(job['started_at'])}",
            f"calls    {', '.join(f'{number:,} {state}' for state, number in rows.items()) or 'none'}",
        ]
        if job["detail"] is not None:
            lines.append(f"detail   {plain(job['detail'])}")
        if result["waits"]:
            lines += ["", wait_rows(result["waits"])]
        return "\n".join(lines)

    return carry_out(args, "jobs show", lambda target: target.ask("jobs.show", {"job": args.job}), show)


def _cancel(args: argparse.Namespace) -> int:
    arguments = {"job": args.job, "by": args.by or login()}
    return carry_out(
        args,
        "jobs cancel",
        lambda target: target.ask("jobs.cancel", arguments),
        lambda job: f"{plain(job['name'])} is {job['state']}",
    )


def _row(job: Any) -> tuple[object, ...]:
    times = moment(job["started_at"]), moment(job["changed_at"])
    return (job["name"], job["state"], job["agent"], *times, job["detail"] if job["detail"] is not None else "")
