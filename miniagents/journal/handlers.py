"""The parts of a store: which of them carries out which operation, and answers which query."""

from collections.abc import Callable
from typing import Any, Protocol

from miniagents.journal import jobs, lives, mail, rows, states, timers, waits


class Parts(Protocol):
    """What stores are made of. Each part has a method for each of its operations and queries.

    Attributes:
        mail: Envelopes, message ids and dead letters.
        timers: Timers.
        lives: Deaths of subjects.
        states: Identities and snapshots.
        jobs: Jobs, with their `rows` and `waits`.
    """

    mail: Any
    timers: Any
    lives: Any
    states: Any
    jobs: Any


def handlers(parts: Parts) -> dict[type, Callable[[Any], Any]]:
    """Return the methods of those operations and queries that every store carries out one by one.

    The operations that `miniagents.journal.sqlite.grouping` names, and those of `retention`, are for the stores to add.
    """
    return {
        mail.CountAttempt: parts.mail.count_attempt,
        mail.Bury: parts.mail.bury,
        mail.Resend: parts.mail.resend,
        mail.Drop: parts.mail.drop,
        mail.Unacknowledged: parts.mail.unacknowledged,
        mail.Mailboxes: parts.mail.mailboxes,
        mail.StandingOf: parts.mail.standing_of,
        mail.Letters: parts.mail.letters_of,
        timers.Schedule: parts.timers.schedule,
        timers.Advance: parts.timers.advance,
        timers.Unschedule: parts.timers.unschedule,
        timers.Timers: parts.timers.timers_of,
        lives.Begin: parts.lives.begin,
        lives.Rest: parts.lives.rest,
        lives.Pardon: parts.lives.pardon,
        lives.Deaths: parts.lives.deaths,
        states.Claim: parts.states.claim,
        states.Clear: parts.states.clear,
        states.SnapshotOf: parts.states.snapshot_of,
        jobs.StartJob: parts.jobs.start,
        jobs.ChangeJob: parts.jobs.change,
        jobs.Forget: parts.jobs.forget,
        jobs.DeleteJob: parts.jobs.delete,
        jobs.JobOf: parts.jobs.job_of,
        jobs.Jobs: parts.jobs.jobs_in,
        rows.RestartRow: parts.jobs.rows.restart,
        rows.RowsAt: parts.jobs.rows.rows_at,
        rows.Children: parts.jobs.rows.children,
        rows.RowOf: parts.jobs.rows.row_of,
        rows.RowsOfJob: parts.jobs.rows.rows_of_job,
        rows.Answers: parts.jobs.rows.answers_of,
        rows.Records: parts.jobs.rows.records_of,
        rows.KeptMessages: parts.jobs.rows.kept_messages,
        waits.OpenWait: parts.jobs.waits.open,
        waits.Deliver: parts.jobs.waits.deliver,
        waits.ConsumeAnswer: parts.jobs.waits.consume,
        waits.EndWait: parts.jobs.waits.end,
        waits.ReleaseWaits: parts.jobs.waits.release,
        waits.Waits: parts.jobs.waits.waits_of,
    }
