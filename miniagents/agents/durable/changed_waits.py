"""What becomes of the waits of a job when the code of its agents has changed."""

from collections.abc import Collection, Iterable, Sequence

from miniagents.journal import ReleaseWaits, Row, Wait


def released(
    job: str, rows: Sequence[Row], waits: Iterable[Wait], changed: Collection[str], *, adopts: bool
) -> tuple[ReleaseWaits, ...]:
    """Return what releases the waits of rows that will not run again, so that their answers reach the new code.

    These are the rows of changed agents, and the rows below them, unless those are adopted.

    Args:
        job: The name of the job.
        rows: Its rows, in the order of their ids: a row comes after its parent.
        waits: Its waits, whatever their states.
        changed: The names of the agents whose code has changed.
        adopts: Whether calls below changed code are adopted.
    """
    old: set[int] = set()
    for row in rows:
        if row.agent in changed or (row.parent in old and not adopts):
            old.add(row.id)
    with_waits = {wait.id.row for wait in waits}
    return tuple(ReleaseWaits(job, row.id) for row in rows if row.id in old & with_waits)
