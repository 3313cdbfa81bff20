"""What changed code means for a job, before anything is run: the recorded answers that would not be used, and the waits
that would vanish."""

from collections.abc import Collection, Container, Iterable, Mapping, Sequence

from miniagents.agents.durable.durability import VERSION
from miniagents.agents.durable.finding import version_now
from miniagents.journal import Journal, Records, Row, RowState, Wait, Waits, WaitState
from miniagents.journal.changes import JobChanges
from miniagents.journal.paging import rows_of
from miniagents.journal.pending_wait import text_of


async def changes_of(journal: Journal, job: str) -> JobChanges:
    """Compare the agents that a job has run with those of the modules that are loaded. Nothing is run or imported.

    Args:
        journal: The journal, which is open.
        job: The name of the job.

    Raises:
        JournalError: The journal cannot be read.
    """
    rows = await rows_of(journal, job)
    versions = await recorded_versions(journal, [row for row in rows if row.parent == 0])
    now = {name: version_now(name) for name in versions}
    changed = changed_agents(versions, now)
    unused = unused_rows(rows, changed, adopts=False)
    answers, waits = lost_with(unused, rows, await journal.read(Waits(job)))
    not_loaded = tuple(name for name in sorted(now) if now[name] is None)
    return JobChanges(job=job, changed=changed, not_loaded=not_loaded, answers=answers, waits=waits)


async def recorded_versions(journal: Journal, roots: Iterable[Row]) -> dict[str, str]:
    """Return the versions of the agents that a job has run last, by their names.

    Args:
        journal: The journal.
        roots: The rows of the job without a parent.
    """
    versions: dict[str, str] = {}
    for root in roots:
        records = [record for record in await journal.read(Records(root.id)) if record.kind == VERSION]
        for record in sorted(records, key=lambda record: record.number):
            name, _, version = record.key.decode().partition("\n")
            versions[name] = version
    return versions


def changed_agents(versions: Mapping[str, str], now: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return the names of the agents that have another version now, sorted. One that is not loaded may be the same."""
    return tuple(name for name, version in sorted(versions.items()) if now[name] not in (version, None))


def lost_with(unused: Container[int], rows: Iterable[Row], waits: Iterable[Wait]) -> tuple[int, tuple[str, ...]]:
    """Return how many recorded answers are lost with rows that are not used any more, and the ids of the open waits.

    Args:
        unused: The ids of these rows.
        rows: All rows of the job.
        waits: Its waits.
    """
    answers = sum(row.state is RowState.FINISHED for row in rows if row.id in unused)
    open_waits = (wait.id for wait in waits if wait.state is WaitState.WAITING)
    return answers, tuple(text_of(id) for id in open_waits if id.row in unused)


def unused_rows(rows: Sequence[Row], changed: Collection[str], *, adopts: bool) -> set[int]:
    """Return the rows whose answers are not used any more, since the code of agents has changed.

    Args:
        rows: All rows of a job.
        changed: The names of the agents.
        adopts: Whether what lies below a changed agent is adopted, where it is the same itself.
    """
    unused = {row.id for row in rows if row.agent in changed}
    if adopts:
        return unused
    below: dict[int, list[int]] = {}
    for row in rows:
        below.setdefault(row.parent, []).append(row.id)
    to_see = list(unused)
    while to_see:
        found = below.pop(to_see.pop(), ())
        unused.update(found)
        to_see += found
    return unused
