"""`miniagents journal`: how large it is, a copy of it, its state, and what is to be removed from it."""

from pathlib import Path
from typing import Any

import click

from miniagents.cli.operate.options import at_journal, journal_options
from miniagents.cli.printing import amount, plain, table
from miniagents.ext.command_line import DONE, FAILED, Group

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
"""

_LONG = 3600.0
"""Seconds to wait for commands that go through all of the file."""


@click.group(cls=Group, invoke_without_command=True, epilog=_EXAMPLES)
@journal_options
@click.pass_context
def journal(ctx: click.Context) -> int | None:
    """Look after the file of a journal."""
    return _stats() if ctx.invoked_subcommand is None else None


@journal.command("stats")
@journal_options
def stats() -> int:
    """Tell what the journal holds, and its size."""
    return _stats()


@journal.command("vacuum")
@journal_options
def vacuum() -> int:
    """Give unused room back to the disk."""
    return at_journal(
        "journal vacuum",
        lambda target: target.ask("journal.vacuum", {}, patience=_LONG),
        lambda result: f"{amount(result['bytes_before'])} before, {amount(result['bytes_after'])} now",
    )


@journal.command("export")
@click.argument("path", metavar="NEW_FILE", type=click.Path(path_type=Path))
@journal_options
def export(path: Path) -> int:
    """Copy the journal into a new file."""
    return at_journal(
        "journal export",
        lambda target: target.ask("journal.export", {"path": str(path.absolute())}, patience=_LONG),
        lambda result: f"exported to {plain(result['path'])}",
    )


@journal.command("check", epilog=_CHECKS)
@click.argument("job", required=False)
@click.option(
    "--import",
    "modules",
    metavar="MODULE",
    multiple=True,
    help="A module with your agents; may be repeated. A running system compares with its own code.",
)
@journal_options
def check(job: str | None, modules: tuple[str, ...]) -> int:
    """Look for damage in the file, and for jobs whose code has changed.

    With JOB only the code of this job is compared. The status is 1 if something is wrong, has changed, or cannot be
    compared.
    """
    has_findings = False

    def do(target: Any) -> Any:
        nonlocal has_findings
        commands: list[Any] = [("journal.check", {})] if job is None else []
        *checked, changes = target.ask_all([*commands, ("journal.changes", {"job": job})], patience=_LONG)
        result = checked[0] if checked else {"problems": []}
        result["jobs"] = [job for job in changes["jobs"] if job["changed"] or job["not_loaded"]]
        has_findings = bool(result["problems"] or result["jobs"])
        return result

    def show(result: Any) -> str:
        lines = [plain(problem) for problem in result["problems"]]
        if job is None and not lines:
            lines.append("the file is whole")
        for changed in result["jobs"]:
            lines += _changes(changed)
        return "\n".join(lines) or "nothing has changed"

    return at_journal("journal check", do, show, modules=modules) or (FAILED if has_findings else DONE)


@journal.command("delete")
@click.argument("job")
@journal_options
def delete(job: str) -> int:
    """Remove a job and everything of it that nobody else needs."""
    return at_journal(
        "journal delete",
        lambda target: target.ask("journal.delete", {"job": job}),
        lambda result: f"deleted {plain(result['name'])}, which was {result['state']}",
    )


@journal.command("forget")
@click.argument("job")
@click.option("--from", "row", metavar="ROW", type=int, default=0, help="Only this call and those below it.")
@journal_options
def forget(job: str, row: int) -> int:
    """Throw recorded answers of a job away, so that they are asked for, and paid for, again."""
    return at_journal(
        "journal forget",
        lambda target: target.ask("journal.forget", {"job": job, "row": row}),
        lambda result: f"forgot {result['forgotten']:,} calls of {plain(result['job'])}; they run again next time",
    )


def _stats() -> int:
    def show(result: Any) -> str:
        head = f"{plain(result['path'])}, {amount(result['bytes'])}"
        counts = [(name.replace("_", " "), f"{number:,}") for name, number in result["counts"].items()]
        return f"{head}\n\n{table(('WHAT', 'NUMBER'), counts)}"

    return at_journal("journal stats", lambda target: target.ask("journal.stats", {}), show)


def _changes(job: Any) -> list[str]:
    name = plain(job["job"])
    lines = [f"{name}: the code of {plain(agent)} has changed" for agent in job["changed"]]
    if job["changed"]:
        lines.append(f"{name}: {job['answers']:,} recorded answers would not be used")
    lines += [f"{name}: the wait {plain(wait)} would vanish" for wait in job["waits"]]
    lines += [f"{name}: {plain(agent)} is in no loaded module; name it by --import" for agent in job["not_loaded"]]
    return lines
