"""Retention: what a journal forgets, and how much it holds."""

import msgspec

from miniagents.journal.operations import Operation, Query


class Removed(msgspec.Struct, frozen=True):
    """How much `Expire` has removed: jobs, roots of interactions without a job, message ids, kept messages."""

    jobs: int
    roots: int
    message_ids: int
    messages: int


class Expire(Operation[Removed], frozen=True):
    """Remove what ended long ago, with all that belongs to it, and the kept messages that nothing names any more.

    What is unfinished, waits, or lies in the dead letters is never removed.

    Args:
        ended_before: Remove jobs that are `FINISHED`, `FAILED` or `CANCELLED`, and roots without a job below which
            nothing is running, if they ended before this time, in seconds since the epoch.
        handled_before: Remove the ids of messages that were handled, or whose dead letter was dropped, before this
            time. A message with such an id is new again.
    """

    ended_before: float = float("-inf")
    handled_before: float = float("-inf")


class Counts(msgspec.Struct, frozen=True):
    """How much a journal holds.

    Attributes:
        envelopes: Envelopes that wait.
        letters: Dead letters.
        message_ids: Message ids that are known.
        timers: Timers.
        jobs: Jobs.
        rows: Rows of interactions.
        records: Records of rows.
        messages: Kept messages.
        waits: Waits that are open.
        snapshots: Snapshots.
    """

    envelopes: int
    letters: int
    message_ids: int
    timers: int
    jobs: int
    rows: int
    records: int
    messages: int
    waits: int
    snapshots: int


class Count(Query[Counts], frozen=True):
    """How much the journal holds."""
