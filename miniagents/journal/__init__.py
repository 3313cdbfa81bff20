"""The journal: what durable mailboxes, interactions and waits keep on disk.

`Journal` is the interface, `SqliteJournal` and `MemoryJournal` are stores. What is written and read are values, the
operations and queries below. The stores are loaded when they are first named, so that a program without a journal does
not load SQLite.
"""

import importlib
from typing import TYPE_CHECKING, Any

from miniagents.journal.encoding import UNDECODABLE, encoded, kind_of, waiting_mail
from miniagents.journal.jobs import ChangeJob, DeleteJob, Forget, Job, JobOf, Jobs, JobState, StartJob
from miniagents.journal.journal import Journal
from miniagents.journal.lives import Begin, Deaths, Pardon, Rest, job_subject, mailbox_subject
from miniagents.journal.mail import (
    Accept,
    Acceptance,
    Bury,
    CountAttempt,
    Drop,
    Handle,
    Letters,
    Mailboxes,
    Resend,
    Standing,
    StandingOf,
    StoredEnvelope,
    StoredLetter,
    Unacknowledged,
)
from miniagents.journal.operations import Operation, Query
from miniagents.journal.retention import Count, Counts, Expire, Removed
from miniagents.journal.rows import (
    Answer,
    Answers,
    Children,
    FinishRow,
    KeepMessage,
    KeptMessages,
    NoteInputs,
    Record,
    Records,
    Reply,
    RestartRow,
    Row,
    RowOf,
    RowsAt,
    RowsOfJob,
    RowState,
    StartRow,
)
from miniagents.journal.states import Claim, Clear, Save, Snapshot, SnapshotOf
from miniagents.journal.timers import Advance, Schedule, Timer, Timers, Unschedule
from miniagents.journal.waits import (
    ConsumeAnswer,
    Deliver,
    Delivered,
    Delivery,
    EndWait,
    GivenAnswer,
    OpenWait,
    ReleaseWaits,
    Wait,
    WaitId,
    Waits,
    WaitState,
)

if TYPE_CHECKING:
    from miniagents.journal.memory.journal import MemoryJournal
    from miniagents.journal.sqlite import SqliteJournal

_STORES = {"MemoryJournal": "miniagents.journal.memory.journal", "SqliteJournal": "miniagents.journal.sqlite"}

__all__ = [
    "UNDECODABLE",
    "Accept",
    "Acceptance",
    "Advance",
    "Answer",
    "Answers",
    "Begin",
    "Bury",
    "ChangeJob",
    "Children",
    "Claim",
    "Clear",
    "ConsumeAnswer",
    "Count",
    "CountAttempt",
    "Counts",
    "Deaths",
    "DeleteJob",
    "Deliver",
    "Delivered",
    "Delivery",
    "Drop",
    "EndWait",
    "Expire",
    "FinishRow",
    "Forget",
    "GivenAnswer",
    "Handle",
    "Job",
    "JobOf",
    "JobState",
    "Jobs",
    "Journal",
    "KeepMessage",
    "KeptMessages",
    "Letters",
    "Mailboxes",
    "MemoryJournal",
    "NoteInputs",
    "OpenWait",
    "Operation",
    "Pardon",
    "Query",
    "Record",
    "Records",
    "ReleaseWaits",
    "Removed",
    "Reply",
    "Resend",
    "Rest",
    "RestartRow",
    "Row",
    "RowOf",
    "RowState",
    "RowsAt",
    "RowsOfJob",
    "Save",
    "Schedule",
    "Snapshot",
    "SnapshotOf",
    "SqliteJournal",
    "Standing",
    "StandingOf",
    "StartJob",
    "StartRow",
    "StoredEnvelope",
    "StoredLetter",
    "Timer",
    "Timers",
    "Unacknowledged",
    "Unschedule",
    "Wait",
    "WaitId",
    "WaitState",
    "Waits",
    "encoded",
    "job_subject",
    "kind_of",
    "mailbox_subject",
    "waiting_mail",
]


def __getattr__(name: str) -> Any:
    if name not in _STORES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_STORES[name]), name)
