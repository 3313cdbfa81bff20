"""What `Retry` throws away: pure decisions over the rows of a job."""

from collections.abc import Sequence
from typing import Any

from miniagents.agents.job_options import Retry
from miniagents.errors import InvalidOptionError
from miniagents.journal import Forget, Operation, RestartRow, Row, RowState


def freed(job: str, rows: Sequence[Row], retry: Retry) -> tuple[Operation[Any], ...]:
    """Return what throws the answers of some calls of a job away, so that they are asked for again.

    The calls above them are to run again, too, since they were answered by them. So `Retry.FAILED` leaves a failed call
    alone if a call above it, other than the root, has finished. That call has handled the failure, and keeps its
    answer.

    Args:
        job: The name of the job.
        rows: All its rows.
        retry: Which answers.

    Raises:
        InvalidOptionError: No call of the job is meant by `Retry.from_`.
    """
    if retry == Retry.ALL:
        return (Forget(job),)
    by_id = {row.id: row for row in rows}
    if retry == Retry.FAILED:
        failed = [row for row in rows if row.state is RowState.FAILED and not _is_handled(row, by_id)]
        with_failure_below = {row.parent for row in failed}
        meant = [row for row in failed if row.id not in with_failure_below]
    else:
        meant = [row for row in rows if _is_meant(row, retry.where)]
        if not meant:
            raise InvalidOptionError(
                f"job {job!r}: Retry.from_({retry.where!r}): no call of the job is meant; a path counts by its last "
                f"part, which is the alias of the agent, without the number that tells agents of one alias apart"
            )
    above: dict[int, Row] = {}
    forgotten = {row.id for row in meant}
    for row in meant:
        parent = by_id.get(row.parent)
        while parent is not None:
            above[parent.id] = parent
            parent = by_id.get(parent.parent)
    restarts = [RestartRow(row.id, row.started) for row in above.values() if row.id not in forgotten]
    return (*(Forget(job, row.id) for row in meant), *restarts)


def _is_handled(row: Row, by_id: dict[int, Row]) -> bool:
    """Return True if a call between a failed one and the root of the job has finished."""
    above = by_id.get(row.parent)
    while above is not None and above.parent in by_id:
        if above.state is RowState.FINISHED:
            return True
        above = by_id.get(above.parent)
    return False


def _is_meant(row: Row, where: str | int) -> bool:
    if isinstance(where, int) or where.isdigit():
        return row.id == int(where)
    return row.agent == where or row.agent.rpartition("#")[2] == where.rpartition("/")[2]
