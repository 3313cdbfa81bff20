"""The tables of a `SqliteJournal` against the simplest model: both do the same operations with the same results."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from miniagents.journal import (
    Accept,
    Advance,
    Answers,
    Begin,
    Bury,
    ChangeJob,
    Children,
    Claim,
    Clear,
    ConsumeAnswer,
    Count,
    CountAttempt,
    Deaths,
    DeleteJob,
    Deliver,
    Drop,
    EndWait,
    Expire,
    FinishRow,
    Forget,
    GivenAnswer,
    Handle,
    JobOf,
    Jobs,
    JobState,
    Journal,
    KeepMessage,
    KeptMessages,
    Letters,
    Mailboxes,
    MemoryJournal,
    NoteInputs,
    OpenWait,
    Operation,
    Pardon,
    Query,
    Record,
    Records,
    ReleaseWaits,
    Reply,
    Resend,
    Rest,
    RestartRow,
    RowOf,
    RowsAt,
    RowsOfJob,
    RowState,
    Save,
    Schedule,
    Snapshot,
    SnapshotOf,
    SqliteJournal,
    StandingOf,
    StartJob,
    StartRow,
    Timer,
    Timers,
    Unacknowledged,
    Unschedule,
    Wait,
    WaitId,
    Waits,
    WaitState,
    job_subject,
    mailbox_subject,
)

NUMBERS = st.integers(1, 6)
PATHS = st.sampled_from(["/a", "/b"])
JOBS = st.sampled_from(["", "j", "k"])
KEYS = st.sampled_from([b"", b"k", b"l"])
TIMES = st.integers(0, 5).map(float)
SUBJECTS = st.one_of(PATHS.map(mailbox_subject), JOBS.map(job_subject))
REPLIES = st.lists(st.builds(Reply, KEYS, st.integers(-1, 3), st.lists(NUMBERS, max_size=3).map(tuple)), max_size=2)
ANSWERS = st.builds(GivenAnswer, KEYS, st.sampled_from(["", "A"]), PATHS, TIMES)
WAIT_IDS = st.builds(WaitId, JOBS, NUMBERS, st.sampled_from("xy"), st.integers(0, 1))

# The numbers of envelopes and rows that are made are put in by `as_programs_write`.
OPERATIONS: st.SearchStrategy[Operation[Any]] = st.one_of(
    st.builds(Accept, st.just(0), PATHS, KEYS, PATHS, st.sampled_from([None, "m", "n"]), KEYS, KEYS, TIMES),
    st.builds(CountAttempt, PATHS, NUMBERS),
    st.builds(Handle, PATHS, NUMBERS, KEYS, TIMES),
    st.builds(Bury, PATHS, NUMBERS, PATHS, PATHS, TIMES),
    st.builds(Resend, NUMBERS, st.just(0)),
    st.builds(Drop, NUMBERS),
    st.builds(Schedule, st.builds(Timer, PATHS, PATHS, PATHS, TIMES, KEYS)),
    st.builds(Advance, PATHS, PATHS, TIMES),
    st.builds(Unschedule, PATHS, st.none() | PATHS),
    st.builds(Claim, PATHS, NUMBERS),
    st.builds(Save, st.builds(Snapshot, PATHS, KEYS, PATHS, TIMES)),
    st.builds(Clear, PATHS),
    st.builds(Begin, SUBJECTS),
    st.builds(Rest, SUBJECTS),
    st.builds(Pardon, SUBJECTS),
    st.builds(StartJob, JOBS, PATHS, KEYS, KEYS, TIMES),
    st.builds(ChangeJob, JOBS, st.sampled_from(JobState), KEYS, TIMES),
    st.builds(Forget, JOBS, st.integers(0, 6), st.booleans()),
    st.builds(DeleteJob, JOBS),
    st.builds(StartRow, st.just(0), st.integers(0, 6), KEYS, st.integers(0, 2), JOBS, PATHS, NUMBERS, TIMES),
    st.builds(RestartRow, NUMBERS, NUMBERS, TIMES),
    st.builds(NoteInputs, NUMBERS, st.lists(KEYS, max_size=2).map(tuple), st.booleans()),
    st.builds(KeepMessage, KEYS, KEYS),
    st.builds(FinishRow, NUMBERS, st.sampled_from(RowState), NUMBERS, REPLIES.map(tuple), KEYS, TIMES),
    st.builds(Record, NUMBERS, PATHS, KEYS, st.integers(0, 1), st.none() | KEYS, KEYS),
    st.builds(OpenWait, st.builds(Wait, WAIT_IDS, PATHS, KEYS, st.sampled_from(["", "A"]), st.none() | TIMES, TIMES)),
    st.builds(Deliver, JOBS, WAIT_IDS | st.sampled_from("xy"), ANSWERS, st.sampled_from([(), ("A",)])),
    st.builds(ConsumeAnswer, WAIT_IDS),
    st.builds(EndWait, WAIT_IDS, st.sampled_from([WaitState.EXPIRED, WaitState.CLOSED])),
    WAIT_IDS.map(lambda id: ReleaseWaits(id.job, id.row)),
    st.builds(Expire, TIMES, TIMES),
)
REOPEN = "reopen"
STEPS = st.one_of(st.lists(OPERATIONS, min_size=1, max_size=4), st.just(REOPEN))

QUERIES: list[Query[Any]] = [
    *(Unacknowledged(path, after, 3) for path in ("/a", "/b") for after in (0, 2)),
    Mailboxes(),
    *(StandingOf(path, id) for path in ("/a", "/b") for id in "mn"),
    *(Letters(path, after, 2) for path in ("/a", None) for after in (0, 2)),
    *(Timers(path) for path in ("/a", None)),
    *(SnapshotOf(path) for path in ("/a", "/b")),
    *(Deaths(subject) for subject in (mailbox_subject("/a"), job_subject("j"), job_subject(""))),
    *(JobOf(job) for job in ("", "j", "k")),
    *(Jobs(states) for states in ((), (JobState.RUNNING, JobState.FAILED))),
    *(RowsAt(parent, key) for parent in range(4) for key in (b"", b"k")),
    *(Children(parent, 1, 3) for parent in range(4)),
    *(RowsOfJob(job, 1, 3) for job in ("", "j")),
    *(query(row) for row in range(1, 7) for query in (RowOf, Records)),
    *(Answers((5, 1, 3, 2, 4, 6), most_bytes) for most_bytes in (1, 3, 1_000)),
    KeptMessages((b"", b"k", b"unknown")),
    *(Waits(job, states) for job in ("j", None) for states in ((WaitState.WAITING,), tuple(WaitState))),
    Count(),
]


def replaced(operation: Operation[Any], **values: Any) -> Operation[Any]:
    """The operation with other values."""
    return type(operation)(**{**{name: getattr(operation, name) for name in operation.__struct_fields__}, **values})


def as_programs_write(operations: list[Operation[Any]], journal: Journal, given: list[int]) -> list[Operation[Any]]:
    """The operations with numbers of their own, without those that name a row which is started later.

    Args:
        operations: The operations.
        journal: The journal, which gives the numbers.
        given: The numbers that it has given, which grow.
    """
    written = []
    for operation in operations:
        match operation:
            case Accept() | Resend():
                given.append(journal.next_id())
                written.append(replaced(operation, number=given[-1]))
            case StartRow(parent=parent):
                written.append(replaced(operation, id=journal.next_id(), parent=parent if parent in given else 0))
                given.append(written[-1].id)  # type: ignore[attr-defined]
            case NoteInputs(id=row) | FinishRow(id=row) | Record(row=row) if row not in given:
                pass
            case _:
                written.append(operation)
    return written


async def play(steps: list[Any], journal: Journal, *, is_at_once: bool) -> list[Any]:
    """The results of all steps, and the answers to all queries after them; at once: only the answers."""
    journal.open()
    given: list[int] = []
    results: list[Any] = []
    for step in steps:
        if step == REOPEN:
            await journal.close()
            journal.open()
        elif operations := as_programs_write(step, journal, given):
            write = journal.write(*operations)
            if not is_at_once:
                results.append(await write)
    for query in QUERIES:
        results.append((query, await journal.read(query)))
    await journal.close()
    return results


@given(st.lists(STEPS, max_size=25), st.booleans())
@settings(max_examples=120)
def test_both_journals_give_the_same_results_for_the_same_operations(steps: list[Any], is_at_once: bool) -> None:
    expected = asyncio.run(play(steps, MemoryJournal(), is_at_once=is_at_once))

    with tempfile.TemporaryDirectory() as folder:
        journal = SqliteJournal(Path(folder) / "journal.db", synchronous="NORMAL")
        found = asyncio.run(play(steps, journal, is_at_once=is_at_once))

    assert found == expected
