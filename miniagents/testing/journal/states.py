"""The rules of identities, snapshots and deaths."""

from collections.abc import Callable

from miniagents.journal import (
    Accept,
    Begin,
    Bury,
    Claim,
    Clear,
    Deaths,
    FinishRow,
    Handle,
    Journal,
    Pardon,
    Record,
    Rest,
    RowState,
    Save,
    Snapshot,
    SnapshotOf,
    StartJob,
    StartRow,
    Unacknowledged,
    job_subject,
    mailbox_subject,
)


async def _keeps_uids_and_snapshots(journal: Journal) -> None:
    assert await journal.write(Claim("/states/a", 7)) == 7, "the first uid of a path is its uid"
    assert await journal.write(Claim("/states/a", 8)) == 7, "a path keeps its uid"
    assert await journal.read(SnapshotOf("/states/a")) is None, "an owner without a snapshot has none"
    await journal.write(Save(Snapshot("/states/a", b"old", "State", 1.0)))
    number = journal.next_id()
    await journal.write(Accept(number, "/states/a", b""))
    snapshot = Snapshot("/states/a", b"\x00new", "State", 2.0)
    await journal.write(Handle("/states/a", number), Save(snapshot))
    assert await journal.read(SnapshotOf("/states/a")) == snapshot, "an owner has its last snapshot"
    assert await journal.read(Unacknowledged("/states/a")) == (), "snapshot and acknowledgement are one write"
    await journal.write(Clear("/states/a"))
    assert await journal.read(SnapshotOf("/states/a")) is None, "a snapshot can be removed"


async def _counts_deaths(open_journal: Callable[[], Journal]) -> None:
    async def lives(*subjects: str) -> list[int]:
        journal = open_journal()
        journal.open()
        deaths = [await journal.write(Begin(subject)) for subject in subjects]
        assert [await journal.read(Deaths(subject)) for subject in subjects] == deaths, "deaths can be read"
        await journal.close()
        return deaths

    box, other = mailbox_subject("/deaths"), mailbox_subject("/other")
    assert await lives(box, box) == [0, 0], "beginning twice in one process is no death"
    assert await lives(box) == [1], "a subject that began and did not rest has died"
    assert await lives(box, other) == [2, 0], "deaths in a row add up, for each subject"
    journal = open_journal()
    journal.open()
    assert await journal.write(Begin(box)) == 3, "deaths in a row add up"
    await journal.write(Rest(box))
    await journal.close()
    assert await lives(box) == [3], "the end of a process counts nothing while a subject rests"
    journal = open_journal()
    journal.open()
    await journal.write(Pardon(box))
    assert await journal.write(Begin(box)) == 0, "a pardon forgets the deaths"
    await journal.close()
    assert await lives(box) == [1], "a pardon lasts until the next death"
    job = job_subject("deaths")
    for writes in ((StartJob("deaths", "agent", b"", b""),), (Rest(job), StartJob("deaths", "agent", b"", b""))):
        journal = open_journal()
        journal.open()
        await journal.write(*writes)
        await journal.close()
        assert await lives(job) == [1], "a new job has begun, and one that is there is not begun again"


async def _forgives_who_gets_on(open_journal: Callable[[], Journal]) -> None:
    box, job = mailbox_subject("/progress"), job_subject("progress")

    def handle(journal: Journal) -> None:
        number = journal.next_id()
        journal.write(Accept(number, "/progress", b""), Handle("/progress", number))

    def bury(journal: Journal) -> None:
        number = journal.next_id()
        journal.write(Accept(number, "/progress", b""), Bury("/progress", number, "reason"))

    def finish(journal: Journal) -> None:
        row = journal.next_id()
        journal.write(
            StartJob("progress", "agent", b"", b""),
            StartRow(row, 0, b"slot", 0, "progress", "agent", row),
            FinishRow(row, RowState.FINISHED, journal.next_id()),
        )

    def record(journal: Journal) -> None:
        row = journal.next_id()
        journal.write(
            StartRow(row, 0, b"slot", 0, "progress", "agent", row), Record(row, "once", b"key", value=b"value")
        )

    def record_start(journal: Journal) -> None:
        row = journal.next_id()
        journal.write(StartRow(row, 0, b"slot", 0, "progress", "agent", row), Record(row, "tool", b"key"))

    steps: list[Callable[[Journal], None]] = [handle, bury, finish, record]
    for subject, step, deaths in [
        *((box if step in (handle, bury) else job, step, 0) for step in steps),
        (job, record_start, 1),
    ]:
        for is_last in (False, True):
            journal = open_journal()
            journal.open()
            if is_last:
                found = await journal.write(Begin(subject))
                assert found == deaths, f"after {step.__name__} in a process that died: {deaths} deaths, not {found}"
                await journal.write(Pardon(subject))
            else:
                await journal.write(Begin(subject))
                step(journal)
            await journal.close()


CHECKS = (_keeps_uids_and_snapshots,)
OPENING_CHECKS = (_counts_deaths, _forgives_who_gets_on)
