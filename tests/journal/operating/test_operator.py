"""`Operator`: what it does with a journal that no system has open."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from miniagents import TextMessage
from miniagents.agents.durable.replies import encoded_error
from miniagents.control import CommandError
from miniagents.journal import (
    Accept,
    Begin,
    Bury,
    ChangeJob,
    Deaths,
    FinishRow,
    Job,
    JobOf,
    JobState,
    OpenWait,
    Rest,
    RowOf,
    RowState,
    SqliteJournal,
    StartJob,
    StartRow,
    Unacknowledged,
    Wait,
    WaitId,
    Waits,
    WaitState,
    job_subject,
)
from miniagents.journal.operating import Operator, commands_of
from miniagents.messages import decode, encode
from tests.journal.sqlite.opened import opened

pytestmark = pytest.mark.real_time


class Approval(TextMessage, tag="tests:Approval"):
    approved: bool = False
    by: tuple[str, ...] = ()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    """An open journal with a job, whose root 1 has the calls 2 and 3 below it, and 4 below 3."""
    async with opened(tmp_path / "swarm.db") as journal:
        await journal.write(StartJob("job-42", "app:writer", b"key", b"input", at=1.0))
        for parent in (0, 1, 1, 3):
            row = journal.next_id()
            start = StartRow(row, parent, b"slot", 0, "job-42", "writer", row)
            await journal.write(start, FinishRow(row, RowState.FINISHED, row))
        yield journal


def operated(journal: SqliteJournal) -> Any:
    """A function that carries out a command with its arguments."""
    commands = commands_of(Operator(journal))

    async def do(command: str, **arguments: Any) -> Any:
        return await commands[command](arguments)

    return do


async def a_wait(journal: SqliteJournal, row: int = 2, kind: str = "", job: str = "job-42") -> WaitId:
    """An open wait for an approval."""
    wait = Wait(WaitId(job, row, "approval"), "/writer", encode(TextMessage("Publish?")), kind, since=5.0)
    await journal.write(OpenWait(wait))
    return wait.id


async def the_wait(journal: SqliteJournal) -> Wait:
    """The only wait there is."""
    (wait,) = await journal.read(Waits(None, tuple(WaitState)))
    return wait


async def the_job(journal: SqliteJournal) -> Job:
    """The job as it stands."""
    job = await journal.read(JobOf("job-42"))
    assert job is not None
    return job


async def states(journal: SqliteJournal) -> list[RowState | None]:
    """The states of the four calls; None for one that is gone."""
    rows = [await journal.read(RowOf(number)) for number in (1, 2, 3, 4)]
    return [row.state if row is not None else None for row in rows]


async def test_jobs_are_listed_by_state_and_shown_with_their_calls_and_waits(journal: SqliteJournal) -> None:
    do = operated(journal)
    await journal.write(StartJob("other", "app:other", b"", b""), ChangeJob("other", JobState.FAILED, b"no luck"))
    await a_wait(journal)

    assert [job["name"] for job in (await do("jobs.list"))["jobs"]] == ["job-42", "other"]
    (failed,) = (await do("jobs.list", states=["failed"]))["jobs"]
    assert (failed["name"], failed["detail"]) == ("other", "no luck")
    details = await do("jobs.show", job="job-42")
    assert details["rows"] == {"finished": 4}
    (wait,) = details["waits"]
    assert (wait["prompt"]["content"], wait["id"], wait["row"], wait["number"]) == ("Publish?", "approval#2.0", 2, 0)


async def test_a_job_is_shown_with_its_failed_and_running_calls_and_with_all_if_that_is_asked_for(
    journal: SqliteJournal,
) -> None:
    do = operated(journal)
    failed, running = journal.next_id(), journal.next_id()
    await journal.write(
        StartRow(failed, 1, b"s", 1, "job-42", "reader", failed, at=6.0),
        FinishRow(failed, RowState.FAILED, failed, error=encoded_error(ValueError("no text")), at=7.0),
        StartRow(running, 1, b"s", 2, "job-42", "reader", running, at=8.0),
    )

    first, second = (await do("jobs.show", job="job-42"))["calls"]
    assert (first["row"], first["parent"], first["agent"], first["state"]) == (failed, 1, "reader", "failed")
    assert first["error"] == "builtins:ValueError: no text"
    assert (second["row"], second["state"], second["at"], second["error"]) == (running, "running", 8.0, None)
    rows = [call["row"] for call in (await do("jobs.show", job="job-42", all=True))["calls"]]
    assert rows == [1, 2, 3, 4, failed, running]


async def test_a_job_that_is_not_there_is_a_mistake_and_the_error_names_some_that_are(journal: SqliteJournal) -> None:
    do = operated(journal)
    for command in ("jobs.show", "jobs.cancel", "journal.delete", "journal.forget"):
        with pytest.raises(CommandError, match="no job 'job-43'; the last ones are job-42") as info:
            await do(command, job="job-43")
        assert info.value.kind == "mistake"


async def test_a_cancelled_job_ends_its_calls_and_waits_and_says_who_has_cancelled_it(journal: SqliteJournal) -> None:
    do = operated(journal)
    await journal.write(StartRow(journal.next_id(), 1, b"s", 1, "job-42", "writer", 9))
    await a_wait(journal)

    cancelled = await do("jobs.cancel", job="job-42", by="ada")

    assert cancelled["state"] == "cancelled"
    assert cancelled["detail"]["content"] == "cancelled by ada"
    assert (await the_wait(journal)).state is WaitState.CLOSED
    assert (await do("jobs.show", job="job-42"))["rows"] == {"finished": 4, "cancelled": 1}
    with pytest.raises(CommandError, match="is cancelled already") as info:
        await do("jobs.cancel", job="job-42")
    assert info.value.kind == "failed"


async def test_an_answer_is_delivered_by_name_and_a_second_one_is_told_who_was_first(journal: SqliteJournal) -> None:
    do = operated(journal)
    await a_wait(journal)

    delivered = await do("waits.deliver", job="job-42", name_or_id="approval", text="yes", by="ada")

    assert delivered == {"id": "approval#2.0"}
    answer = (await the_wait(journal)).answer
    assert answer is not None
    assert (decode(answer.body), answer.by) == (TextMessage("yes"), "ada")
    with pytest.raises(CommandError, match="has an answer already, given by 'ada'") as info:
        await do("waits.deliver", job="job-42", name_or_id="approval", text="no", by="bob")
    assert info.value.kind == "failed"


async def test_an_answer_of_fields_gets_the_type_that_the_wait_is_for(journal: SqliteJournal) -> None:
    do = operated(journal)
    await a_wait(journal, kind="tests:Approval")

    await do("waits.deliver", job="job-42", name_or_id="approval", data={"content": "", "approved": True, "by": ["x"]})

    answer = (await the_wait(journal)).answer
    assert answer is not None
    assert decode(answer.body) == Approval("", approved=True, by=("x",))
    assert answer.kind == "tests:Approval"


async def test_a_subclass_answers_a_wait_for_its_base_and_another_type_is_refused(journal: SqliteJournal) -> None:
    do = operated(journal)
    await a_wait(journal, kind="miniagents:TextMessage")

    with pytest.raises(CommandError, match=r"of type 'miniagents:TextMessage', .* 'miniagents:DataMessage'"):
        await do("waits.deliver", job="job-42", name_or_id="approval", data={"data": {}}, type="miniagents:DataMessage")
    await do("waits.deliver", job="job-42", name_or_id="approval", text="ok", type="tests:Approval")

    answer = (await the_wait(journal)).answer
    assert answer is not None
    assert decode(answer.body) == Approval("ok")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"data": {"approved": "maybe"}, "type": "tests:Approval"}, "approved"),
        ({"data": {"colour": 1}, "type": "tests:Approval"}, "no field 'colour'"),
        ({"data": [1], "type": ""}, "JSON object, not list"),
        ({"text": "x", "type": "app:Unknown"}, "no message type 'app:Unknown'"),
        ({"text": "x", "job": "job-1"}, "no such job or wait"),
        ({"text": "x", "name_or_id": "approval#77.0"}, "no such job or wait"),
        ({"text": "x", "name_or_id": "a#b"}, "without '#'"),
        ({"text": 7}, "wrong arguments"),
        ({"shout": "x"}, "wrong arguments"),
    ],
)
async def test_a_wrong_answer_is_a_mistake_and_is_not_delivered(
    journal: SqliteJournal, arguments: dict[str, Any], text: str
) -> None:
    do = operated(journal)
    await a_wait(journal)

    with pytest.raises(CommandError, match=text) as info:
        await do("waits.deliver", **{"job": "job-42", "name_or_id": "approval", **arguments})

    assert info.value.kind == "mistake"
    assert (await the_wait(journal)).answer is None


async def test_several_waits_of_a_name_are_told_apart_by_their_ids(journal: SqliteJournal) -> None:
    do = operated(journal)
    first, second = await a_wait(journal, 2), await a_wait(journal, 4)

    with pytest.raises(CommandError, match=r"2 waits have the name; .*: approval#2\.0, approval#4\.0"):
        await do("waits.deliver", job="job-42", name_or_id="approval", text="yes")
    await do("waits.deliver", job="job-42", name_or_id="approval#4.0", text="yes")

    waits = await journal.read(Waits("job-42", tuple(WaitState)))
    assert {wait.id: wait.state for wait in waits} == {first: WaitState.WAITING, second: WaitState.ANSWERED}


async def test_an_answer_before_its_wait_is_kept_and_one_after_the_end_is_refused(journal: SqliteJournal) -> None:
    do = operated(journal)

    assert (await do("waits.deliver", job="job-42", name_or_id="approval", text="yes"))["id"] is None
    await do("jobs.cancel", job="job-42")
    with pytest.raises(CommandError, match="waits no more"):
        await do("waits.deliver", job="job-42", name_or_id="other", text="yes")


async def test_an_answer_that_is_larger_than_the_journal_takes_is_a_mistake(tmp_path: Path) -> None:
    async with opened(tmp_path / "small.db", max_message_bytes=1000) as journal:
        await journal.write(StartJob("job-42", "app:writer", b"", b""))
        with pytest.raises(CommandError, match=r"TextMessage\.content: the message has") as info:
            await operated(journal)("waits.deliver", job="job-42", name_or_id="x", text="y" * 1000)
        assert info.value.kind == "mistake"


async def test_dead_letters_are_shown_sent_again_and_dropped(journal: SqliteJournal) -> None:
    do = operated(journal)
    numbers = [journal.next_id() for _ in range(3)]
    for number in numbers:
        body = encode(TextMessage(f"message {number}"))
        await journal.write(Accept(number, f"/a{number}", body, "miniagents:TextMessage"))
        await journal.write(Bury(f"/a{number}", number, "poisonous", "ValueError: no"))
    first, second, third = numbers

    assert [letter["id"] for letter in (await do("letters.list"))["letters"]] == numbers
    assert [letter["id"] for letter in (await do("letters.list", after=first))["letters"]] == [second, third]
    (only,) = (await do("letters.list", receiver=f"/a{third}"))["letters"]
    assert (only["id"], only["message"], only["error"]) == (third, None, "ValueError: no")
    assert (await do("letters.show", id=second))["message"]["content"] == f"message {second}"
    await do("letters.resend", id=first)
    await do("letters.drop", id=second)

    assert [letter["id"] for letter in (await do("letters.list"))["letters"]] == [third]
    assert len(await journal.read(Unacknowledged(f"/a{first}"))) == 1
    for command in ("letters.show", "letters.resend", "letters.drop"):
        with pytest.raises(CommandError, match=f"no dead letter {second}") as info:
            await do(command, id=second)
        assert info.value.kind == "mistake"


async def test_forgetting_a_call_lets_those_above_it_run_again_and_keeps_the_others(journal: SqliteJournal) -> None:
    do = operated(journal)
    await journal.write(ChangeJob("job-42", JobState.FINISHED), Begin(job_subject("job-42")))

    assert await do("journal.forget", job="job-42", row=3) == {"job": "job-42", "forgotten": 2}

    assert await states(journal) == [RowState.RUNNING, RowState.FINISHED, None, None]
    assert (await the_job(journal)).state is JobState.RUNNING


async def test_forgetting_all_of_a_job_frees_it_from_its_deaths(journal: SqliteJournal) -> None:
    do, subject = operated(journal), job_subject("job-42")
    await journal.write(ChangeJob("job-42", JobState.STUCK), Rest(subject), Begin(subject))
    await journal.close()
    journal.open()
    assert await journal.write(Begin(job_subject("job-42"))) == 1

    assert (await do("journal.forget", job="job-42"))["forgotten"] == 4

    assert await states(journal) == [None] * 4
    assert await journal.read(Deaths(job_subject("job-42"))) == 0
    assert (await the_job(journal)).state is JobState.RUNNING


async def test_a_cancelled_job_stays_cancelled_when_its_answers_are_forgotten(journal: SqliteJournal) -> None:
    do = operated(journal)
    await do("jobs.cancel", job="job-42")

    await do("journal.forget", job="job-42")

    assert (await the_job(journal)).state is JobState.CANCELLED


async def test_a_call_of_another_job_cannot_be_forgotten(journal: SqliteJournal) -> None:
    do = operated(journal)
    await journal.write(StartJob("other", "app:other", b"", b""))

    for row in (3, 99):
        with pytest.raises(CommandError, match=f"'other' has no call {row}") as info:
            await do("journal.forget", job="other", row=row)
        assert info.value.kind == "mistake"
    assert await states(journal) == [RowState.FINISHED] * 4


async def test_a_deleted_job_is_gone_with_its_calls(journal: SqliteJournal) -> None:
    do = operated(journal)

    assert (await do("journal.delete", job="job-42"))["name"] == "job-42"

    assert await journal.read(JobOf("job-42")) is None
    assert await states(journal) == [None] * 4


async def test_the_file_is_counted_copied_checked_and_made_smaller(journal: SqliteJournal, tmp_path: Path) -> None:
    do = operated(journal)

    stats = await do("journal.stats")
    assert stats["path"] == str(journal.path)
    assert (stats["counts"]["rows"], stats["bytes"]) == (4, journal.size())
    copy = tmp_path / "copy.db"
    await do("journal.export", path=str(copy))
    assert await do("journal.check") == {"problems": []}
    sizes = await do("journal.vacuum")
    assert sizes["bytes_before"] >= sizes["bytes_after"] == journal.size()
    async with opened(copy) as copied:
        assert (await the_job(copied)).name == "job-42"
