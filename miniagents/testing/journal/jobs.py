"""The rules of jobs, of forgetting, and of retention."""

from miniagents.journal import (
    Accept,
    Answer,
    Answers,
    Bury,
    ChangeJob,
    Count,
    DeleteJob,
    Deliver,
    Drop,
    Expire,
    FinishRow,
    Forget,
    GivenAnswer,
    Handle,
    Job,
    JobOf,
    Jobs,
    JobState,
    Journal,
    KeepMessage,
    KeptMessages,
    OpenWait,
    Record,
    Records,
    Removed,
    Reply,
    RowOf,
    RowsOfJob,
    RowState,
    StandingOf,
    StartJob,
    StartRow,
    Wait,
    WaitId,
    Waits,
    WaitState,
)


async def _starts_a_job_once(journal: Journal) -> None:
    start = StartJob("jobs/a", "agents:searcher", b"key", b"input", 3.0)
    job = Job("jobs/a", "agents:searcher", b"key", b"input", JobState.RUNNING, b"", 3.0, 3.0)

    assert await journal.read(JobOf("jobs/a")) is None, "an unknown job is None"
    assert await journal.write(start) is None, "a new name starts a job"
    assert await journal.write(StartJob("jobs/a", "other", b"", b"")) == job, "a name that is taken gives its job"
    await journal.write(StartJob("jobs/b", "agent", b"", b"", 4.0))
    assert await journal.write(ChangeJob("jobs/a", JobState.FAILED, b"why", 5.0)), "the state of a job can be set"
    assert not await journal.write(ChangeJob("jobs/unknown", JobState.FAILED)), "an unknown job has no state"
    changed = await journal.read(JobOf("jobs/a"))
    assert changed == Job("jobs/a", "agents:searcher", b"key", b"input", JobState.FAILED, b"why", 3.0, 5.0), (
        "a job has its state, its detail and the time of its last change"
    )
    names = [each.name for each in await journal.read(Jobs()) if each.name.startswith("jobs/")]
    assert names == ["jobs/a", "jobs/b"], "jobs are read in the order of their starts"
    failed = [each.name for each in await journal.read(Jobs((JobState.FAILED, JobState.STUCK)))]
    assert failed == ["jobs/a"], "jobs are found by their states"


def _tree(journal: Journal, job: str) -> tuple[int, int, int, int]:
    """Write a root with two children and a grandchild, each with a reply and a record."""
    root, child, grandchild, sibling = ids = tuple(journal.next_id() for _ in range(4))
    for id, parent in zip(ids, (0, root, child, root), strict=True):
        key = b"%s/%d" % (job.encode(), id)
        journal.write(
            StartRow(id, parent, b"slot", 0, job, "agent", id),
            KeepMessage(key, b"body"),
            Record(id, "once", b"key", value=b"value"),
            FinishRow(id, RowState.FINISHED, journal.next_id(), (Reply(key, 0),), at=20.0),
        )
    return root, child, grandchild, sibling


async def _forgets_what_is_below_a_row(journal: Journal) -> None:
    await journal.write(StartJob("jobs/forget", "agent", b"", b""))
    root, child, grandchild, sibling = _tree(journal, "jobs/forget")
    other, *_ = _tree(journal, "jobs/kept")

    assert [row.id for row in await journal.read(RowsOfJob("jobs/forget"))] == [root, child, grandchild, sibling], (
        "the rows of a job are found"
    )
    assert len(await journal.read(RowsOfJob("jobs/forget", after=child, limit=1))) == 1, "rows are read in pages"
    assert await journal.write(Forget("jobs/forget", other)) == 0, "a row of another job is not forgotten"
    assert await journal.write(Forget("jobs/forget", child)) == 2, "a row is forgotten with all below it"
    assert [row.id for row in await journal.read(RowsOfJob("jobs/forget"))] == [root, sibling], "others stay"
    assert await journal.read(Answers((child,))) == {child: Answer()}, "a forgotten row has no replies"
    assert await journal.read(Records(grandchild)) == (), "a forgotten row has no records"
    assert await journal.write(Forget("jobs/forget")) == 2, "all rows of a job can be forgotten"
    assert await journal.read(JobOf("jobs/forget")) is not None, "the job itself stays"
    assert await journal.read(RowOf(other)) is not None, "another job's rows stay"


async def _deletes_all_of_a_job(journal: Journal) -> None:
    await journal.write(StartJob("jobs/delete", "agent", b"", b""))
    root, *_ = _tree(journal, "jobs/delete")
    await journal.write(OpenWait(Wait(WaitId("jobs/delete", root, "approval"))))
    await journal.write(Deliver("jobs/delete", "early", GivenAnswer(b"yes")))

    assert await journal.write(DeleteJob("jobs/delete")), "a job can be deleted"
    assert not await journal.write(DeleteJob("jobs/delete")), "a job can be deleted once"
    assert await journal.read(JobOf("jobs/delete")) is None, "a deleted job is gone"
    assert await journal.read(RowsOfJob("jobs/delete")) == (), "its rows are gone"
    assert await journal.read(Waits("jobs/delete", tuple(WaitState))) == (), "its waits are gone"
    await journal.write(StartJob("jobs/delete", "agent", b"", b""))
    wait = await journal.write(OpenWait(Wait(WaitId("jobs/delete", journal.next_id(), "early"))))
    assert wait.answer is None, "its early answers are gone"


async def _expires_what_has_ended(journal: Journal) -> None:
    await journal.write(Expire(1e12, 1e12))
    before = await journal.read(Count())
    for name, state in (("done", JobState.FINISHED), ("new", JobState.FINISHED), ("stuck", JobState.STUCK)):
        at = 30.0 if name == "new" else 20.0
        await journal.write(StartJob(f"expire/{name}", "agent", b"", b"", 10.0))
        _tree(journal, f"expire/{name}")
        await journal.write(ChangeJob(f"expire/{name}", state, at=at))
    await journal.write(StartJob("expire/running", "agent", b"", b"", 10.0))
    ended, *_ = _tree(journal, "")
    running, *_ = _tree(journal, "")
    below = journal.next_id()
    await journal.write(StartRow(below, running, b"slot", 1, "", "agent", below))
    numbers = [journal.next_id() for _ in range(5)]
    for number, id in zip(numbers, "abcde", strict=True):
        await journal.write(Accept(number, "/expire", b"", message_id=id))
    await journal.write(Handle("/expire", numbers[0], at=20.0), Handle("/expire", numbers[1], at=30.0))
    await journal.write(Bury("/expire", numbers[2], "x", at=20.0), Bury("/expire", numbers[3], "x", at=20.0))
    await journal.write(Drop(numbers[3], at=20.0))
    await journal.write(KeepMessage(b"unnamed", b"body"))

    removed = await journal.write(Expire(25.0, 25.0))
    assert removed == Removed(jobs=1, roots=1, message_ids=2, messages=9), (
        f"what ended before the time is removed with all that nobody else names, not {removed}"
    )
    jobs = [job.name for job in await journal.read(Jobs()) if job.name.startswith("expire/")]
    assert jobs == ["expire/new", "expire/stuck", "expire/running"], "jobs that have not ended, or later, stay"
    assert await journal.read(RowOf(ended)) is None, "a root without a job that has ended is gone"
    assert await journal.read(RowOf(running)) is not None, "a root stays as long as something below it runs"
    standings = [await journal.read(StandingOf("/expire", id)) for id in "abcde"]
    assert [standing is not None for standing in standings] == [False, True, True, False, True], (
        "the ids of messages that were handled before the time are forgotten, others stay"
    )
    assert await journal.read(KeptMessages((b"unnamed",))) == {}, "a message that nothing names is gone"
    counts = await journal.read(Count())
    assert (counts.jobs - before.jobs, counts.rows - before.rows) == (3, 13), "Count counts jobs and rows"
    assert (counts.records - before.records, counts.messages - before.messages) == (12, 12), "and what they have"
    assert (counts.envelopes - before.envelopes, counts.letters - before.letters) == (1, 1), "and mail"
    assert counts.message_ids - before.message_ids == 3, "and message ids"


CHECKS = (_starts_a_job_once, _forgets_what_is_below_a_row, _deletes_all_of_a_job, _expires_what_has_ended)
