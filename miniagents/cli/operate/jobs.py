"""`miniagents jobs`: list, show and cancel jobs."""

from collections.abc import Sequence
from typing import Any

import click

from miniagents.cli.operate.options import at_journal, by_option, journal_options
from miniagents.cli.operate.waits import wait_rows
from miniagents.cli.printing import moment, plain, table
from miniagents.ext.command_line import Group

_STATES = ("running", "finished", "failed", "cancelled", "stuck")

_EXAMPLES = """
  miniagents jobs --journal swarm.db                 all jobs
  miniagents jobs list --state running --state stuck
  miniagents jobs show job-42                        one job: its failed calls, and what it waits for
  miniagents jobs cancel job-42                      for good: it is not resumed
"""


@click.group(cls=Group, invoke_without_command=True, epilog=_EXAMPLES)
@journal_options
@click.pass_context
def jobs(ctx: click.Context) -> int | None:
    """List, show or cancel jobs."""
    return _list(()) if ctx.invoked_subcommand is None else None


@jobs.command("list")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(_STATES), help="Only jobs in this state; may be repeated."
)
@journal_options
def list_jobs(states: Sequence[str]) -> int:
    """List the jobs, the oldest first."""
    return _list(states)


@jobs.command("show")
@click.argument("job")
@click.option("--all", "with_all", is_flag=True, help="All calls, the first 1,000 at most.")
@journal_options
def show_job(job: str, with_all: bool) -> int:
    """Show a job: its calls that have failed or run, and what it waits for."""

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
        if result["calls"]:
            heads = ("ROW", "BY", "AGENT", "STATE", "AT", "ERROR")
            lines += ["", table(heads, [_call_row(call) for call in result["calls"]])]
        if result["waits"]:
            lines += ["", wait_rows(result["waits"])]
        return "\n".join(lines)

    return at_journal("jobs show", lambda target: target.ask("jobs.show", {"job": job, "all": with_all}), show)


@jobs.command("cancel")
@click.argument("job")
@by_option
@journal_options
def cancel_job(job: str, by: str) -> int:
    """Cancel a job for good."""
    return at_journal(
        "jobs cancel",
        lambda target: target.ask("jobs.cancel", {"job": job, "by": by}),
        lambda result: f"{plain(result['name'])} is {result['state']}",
    )


def _list(states: Sequence[str]) -> int:
    def show(result: Any) -> str:
        if not result["jobs"]:
            return "no jobs"
        heads = ("JOB", "STATE", "AGENT", "STARTED", "CHANGED", "DETAIL")
        return table(heads, [_row(job) for job in result["jobs"]])

    arguments = {"states": list(states)} if states else {}
    return at_journal("jobs list", lambda target: target.ask("jobs.list", arguments), show)


def _row(job: Any) -> tuple[object, ...]:
    times = moment(job["started_at"]), moment(job["changed_at"])
    return (job["name"], job["state"], job["agent"], *times, job["detail"] if job["detail"] is not None else "")


def _call_row(call: Any) -> tuple[object, ...]:
    error = call["error"] if call["error"] is not None else ""
    return call["row"], call["parent"] or "-", call["agent"], call["state"], moment(call["at"]), error
