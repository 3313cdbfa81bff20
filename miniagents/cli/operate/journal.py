"""`miniagents journal`: how large it is, a copy of it, its state, and what is to be removed from it."""

import argparse
from pathlib import Path
from typing import Any

from miniagents.cli.commands import Commands
from miniagents.cli.operate.options import add_command, subcommands
from miniagents.cli.operate.printing import amount, plain, table
from miniagents.cli.operate.running import FAILED, carry_out

_EXAMPLES = """
  miniagents journal stats --journal swarm.db        what it holds, and its size
  miniagents journal export copy.db                  a copy of one moment, while the system runs
  miniagents journal vacuum                          give unused room back to the disk
  miniagents journal check --import app.agents       damage in the file, and jobs whose code has changed
  miniagents journal forget job-42                   run all of it again next time, and pay again
  miniagents journal forget job-42 --from 17         only call 17 and those below it
  miniagents journal delete job-42                   the job, and everything of it
"""

_CHECKS = """
  miniagents journal check --journal copy.db --import app.agents     before a new version runs; needs no model
  miniagents journal check job-42                                    one job, against the code of the running system

The status is 1 if something is wrong, has changed, or cannot be compared.
"""

_LONG = 3600.0
"""Seconds to wait for commands that go through all of the file."""


def add_journal(commands: Commands) -> None:
    """Add the parser of `miniagents journal`."""
    help = "look after the file of a journal"
    below = subcommands(add_command(commands, "journal", help=help, examples=_EXAMPLES, run=_stats))
    add_command(below, "stats", help="tell what the journal holds, and its size", examples="", run=_stats)
    add_command(below, "vacuum", help="give unused room back to the disk", examples="", run=_vacuum)
    exporting = add_command(below, "export", help="copy the journal into a new file", examples="", run=_export)
    exporting.add_argument("path", metavar="NEW_FILE", type=Path)
    help = "look for damage in the file, and for jobs whose code has changed"
    checking = add_command(below, "check", help=help, examples=_CHECKS, run=_check)
    checking.add_argument("job", metavar="JOB", nargs="?", help="only the code of this job, and not the file")
    help = "a module with your agents; may be repeated. A running system compares with its own code"
    checking.add_argument("--import", dest="modules", metavar="MODULE", action="append", default=[], help=help)
    help = "remove a job and everything of it that nobody else needs"
    add_command(below, "delete", help=help, examples="", run=_delete).add_argument("job", metavar="JOB")
    help = "throw recorded answers of a job away, so that they are asked for, and paid for, again"
    forgetting = add_command(below, "forget", help=help, examples="", run=_forget)
    forgetting.add_argument("job", metavar="JOB")
    forgetting.add_argument("--from", dest="row", metavar="ROW", type=int, default=0, help="only this call and below")


def _stats(args: argparse.Namespace) -> int:
    def show(result: Any) -> str:
        head = f"{plain(result['path'])}, {amount(result['bytes'])}"
        counts = [(name.replace("_", " "), f"{number:,}") for name, number in result["counts"].items()]
        return f"{head}\n\n{table(('WHAT', 'NUMBER'), counts)}"

    return carry_out(args, "journal stats", lambda target: target.ask("journal.stats", {}), show)


def _vacuum(args: argparse.Namespace) -> int:
    return carry_out(
        args,
        "journal vacuum",
        lambda target: target.ask("journal.vacuum", {}, patience=_LONG),
        lambda result: f"{amount(result['bytes_before'])} before, {amount(result['bytes_after'])} now",
    )


def _export(args: argparse.Namespace) -> int:
    path = str(args.path.absolute())
    return carry_out(
        args,
        "journal export",
        lambda target: target.ask("journal.export", {"path": path}, patience=_LONG),
        lambda result: f"exported to {plain(result['path'])}",
    )


def _check(args: argparse.Namespace) -> int:
    has_findings = False

    def do(target: Any) -> Any:
        nonlocal has_findings
        commands: list[Any] = [("journal.check", {})] if args.job is None else []
        *checked, changes = target.ask_all([*commands, ("journal.changes", {"job": args.job})], patience=_LONG)
        result = checked[0] if checked else {"problems": []}
        result["jobs"] = [job for job in changes["jobs"] if job["changed"] or job["not_loaded"]]
        has_findings = bool(result["problems"] or result["jobs"])
        return result

    def show(result: Any) -> str:
        lines = [plain(problem) for problem in result["problems"]]
        if args.job is None and not lines:
            lines.append("the file is whole")
        for job in result["jobs"]:
            lines += _changes(job)
        return "\n".join(lines) or "nothing has changed"

    return carry_out(args, "journal check", do, show) or (FAILED if has_findings else 0)


def _changes(job: Any) -> list[str]:
    name = plain(job["job"])
    lines = [f"{name}: the code of {plain(agent)} has changed" for agent in job["changed"]]
    if job["changed"]:
        lines.append(f"{name}: {job['answers']:,} recorded answers would not be used")
    lines += [f"{name}: the wait {plain(wait)} would vanish" for wait in job["waits"]]
    lines += [f"{name}: {plain(agent)} is in no loaded module; name it by --import" for agent in job["not_loaded"]]
    return lines


def _delete(args: argparse.Namespace) -> int:
    return carry_out(
        args,
        "journal delete",
        lambda target: target.ask("journal.delete", {"job": args.job}),
        lambda job: f"deleted {plain(job['name'])}, which was {job['state']}",
    )


def _forget(args: argparse.Namespace) -> int:
    arguments = {"job": args.job, "row": args.row}
    return carry_out(
        args,
        "journal forget",
        lambda target: target.ask("journal.forget", arguments),
        lambda result: f"forgot {result['forgotten']:,} calls of {plain(result['job'])}; they run again next time",
    )
