"""The rules of waits and their answers."""

import msgspec

from miniagents.journal import (
    ChangeJob,
    ConsumeAnswer,
    Deliver,
    Delivered,
    Delivery,
    EndWait,
    Forget,
    GivenAnswer,
    JobState,
    Journal,
    OpenWait,
    Record,
    Records,
    ReleaseWaits,
    RowOf,
    StartJob,
    StartRow,
    Wait,
    WaitId,
    Waits,
    WaitState,
)

_YES = GivenAnswer(b"yes", "Answer", "ann", 5.0)
_NO = GivenAnswer(b"no", "Answer", "bob", 6.0)


async def _row(journal: Journal, job: str) -> int:
    id = journal.next_id()
    journal.write(StartJob(job, "agent", b"", b""))
    await journal.write(StartRow(id, 0, b"slot", 0, job, "agent", id))
    return id


async def _answers_once(journal: Journal) -> None:
    row = await _row(journal, "waits/once")
    wait = Wait(WaitId("waits/once", row, "approval"), "/agent", b"prompt", "Answer", 99.0, 1.0, owner="ada")
    answered = msgspec.structs.replace(wait, state=WaitState.ANSWERED, answer=_YES)

    assert await journal.write(OpenWait(wait)) == wait, "a wait is opened"
    assert await journal.read(Waits("waits/once")) == (wait,), "an open wait can be read"
    deliver = Deliver("waits/once", "approval", _YES)
    assert await journal.write(deliver) == Delivered(Delivery.WRONG_KIND, (wait,)), "an answer has the wait's type"
    deliver = msgspec.structs.replace(deliver, kinds=("Answer", "Message"))
    assert not await journal.write(ConsumeAnswer(wait.id)), "there is nothing to consume before the answer"
    assert await journal.write(deliver) == Delivered(Delivery.DELIVERED, (answered,)), "a wait is answered by its name"
    second = msgspec.structs.replace(deliver, answer=_NO)
    assert await journal.write(second) == Delivered(Delivery.TAKEN, (answered,)), "a second answer says who was first"
    by_id = msgspec.structs.replace(second, target=wait.id)
    assert await journal.write(by_id) == Delivered(Delivery.TAKEN, (answered,)), "also if it comes by id"
    assert await journal.write(OpenWait(wait)) == answered, "a wait that is opened again has its answer"
    assert await journal.read(Waits("waits/once")) == (), "an answered wait is not open"
    assert await journal.write(ConsumeAnswer(wait.id), Record(row, "wait", b"key", value=b"yes")), "it is consumed"
    assert len(await journal.read(Records(row))) == 1, "in one write with the record"
    assert not await journal.write(ConsumeAnswer(wait.id)), "an answer is consumed once"
    assert (await journal.write(second)).delivery is Delivery.TAKEN, "a consumed wait takes no second answer"


async def _tells_waits_of_one_name_apart(journal: Journal) -> None:
    row = await _row(journal, "waits/several")
    waits = [Wait(WaitId("waits/several", row, "approval", n), since=float(n)) for n in range(3)]
    for wait in waits:
        await journal.write(OpenWait(wait))

    several = await journal.write(Deliver("waits/several", "approval", _YES))
    assert several == Delivered(Delivery.AMBIGUOUS, tuple(waits)), "an answer by name is refused where several wait"
    for number in (2, 0):
        by_id = await journal.write(Deliver("waits/several", waits[number].id, _YES))
        assert by_id.delivery is Delivery.DELIVERED, "each of several waits is answered by its id"
    assert await journal.read(Waits("waits/several")) == (waits[1],), "the others go on waiting"
    assert (await journal.write(Deliver("waits/several", "approval", _NO))).delivery is Delivery.DELIVERED, (
        "the only open wait of a name is answered by the name"
    )
    other = Deliver("waits/other", waits[1].id, _YES)
    assert (await journal.write(other)).delivery is Delivery.UNKNOWN, "an unknown job is not answered"
    unknown = Deliver("waits/several", WaitId("waits/several", row, "approval", 9), _YES)
    assert (await journal.write(unknown)).delivery is Delivery.UNKNOWN, "an unknown id is not answered"


async def _keeps_early_answers(journal: Journal) -> None:
    row = await _row(journal, "waits/early")
    early = Deliver("waits/early", "approval", _YES)

    assert await journal.write(early) == Delivered(Delivery.KEPT), "an answer that comes before its wait is kept"
    second = await journal.write(msgspec.structs.replace(early, answer=_NO))
    assert second.delivery is Delivery.TAKEN, "a second early answer is refused"
    assert [wait.answer for wait in second.waits] == [_YES], "and says who was first"
    wait = await journal.write(OpenWait(Wait(WaitId("waits/early", row, "approval"))))
    assert (wait.state, wait.answer) == (WaitState.ANSWERED, _YES), "the wait has the early answer"
    wait = await journal.write(OpenWait(Wait(WaitId("waits/early", row, "approval", 1))))
    assert (wait.state, wait.answer) == (WaitState.WAITING, None), "an early answer is for one wait"


async def _ends_waits(journal: Journal) -> None:
    row = await _row(journal, "waits/end")
    expired, late, closed = (Wait(WaitId("waits/end", row, name)) for name in ("expired", "late", "closed"))
    for wait in (expired, late, closed):
        await journal.write(OpenWait(wait))
    await journal.write(Deliver("waits/end", "late", _YES))

    ended = await journal.write(EndWait(expired.id, WaitState.EXPIRED))
    assert ended is not None, "a wait that is there can be ended"
    assert ended.state is WaitState.EXPIRED, "a wait can expire"
    by_id = await journal.write(Deliver("waits/end", expired.id, _YES))
    assert by_id.delivery is Delivery.ENDED, "an expired wait takes no answer"
    answered = await journal.write(EndWait(late.id, WaitState.EXPIRED))
    assert answered is not None, "an answered wait is there"
    assert answered.answer == _YES, "the answer that came before the end counts"
    unknown = WaitId("waits/end", row, "unknown")
    assert await journal.write(EndWait(unknown, WaitState.CLOSED)) is None, "an unknown wait is None"

    await journal.write(ChangeJob("waits/end", JobState.FAILED))
    assert await journal.read(Waits("waits/end")) == (), "a job that has ended waits for nothing"
    assert (await journal.write(Deliver("waits/end", "closed", _YES))).delivery is Delivery.ENDED, "and is not answered"
    for target in ("late", late.id):
        second = await journal.write(Deliver("waits/end", target, _NO))
        assert second.delivery is Delivery.TAKEN, "an answer that comes after the end of its job tells of the first one"
        assert [wait.answer for wait in second.waits] == [_YES], "and says who was first"
    for other in ("expired", closed.id, "unknown", unknown):
        assert (await journal.write(Deliver("waits/end", other, _YES))).delivery is Delivery.ENDED, (
            "what was not answered before the end of its job is not answered any more"
        )
    await journal.write(ChangeJob("waits/end", JobState.RUNNING))
    again = await journal.write(OpenWait(closed))
    assert again == closed, "a closed wait is opened again"
    await journal.write(ChangeJob("waits/end", JobState.STUCK))
    assert len(await journal.read(Waits("waits/end"))) == 1, "a stuck job goes on waiting"


async def _keeps_answers_of_forgotten_rows(journal: Journal) -> None:
    row, fresh = await _row(journal, "waits/forget"), journal.next_id()
    for number in range(2):
        id = WaitId("waits/forget", row, "approval", number)
        await journal.write(OpenWait(Wait(id)))
        await journal.write(Deliver("waits/forget", id, _YES if number == 0 else _NO))
    await journal.write(ConsumeAnswer(WaitId("waits/forget", row, "approval")))

    await journal.write(Forget("waits/forget", row))
    assert await journal.read(Waits("waits/forget", tuple(WaitState))) == (), "a forgotten row has no waits"
    opened = [
        await journal.write(OpenWait(Wait(WaitId("waits/forget", fresh, "approval", number)))) for number in range(2)
    ]
    assert [wait.answer for wait in opened] == [_YES, _NO], "the next waits of the name have the answers, in order"
    await journal.write(StartRow(fresh, 0, b"slot", 0, "waits/forget", "agent", fresh))
    await journal.write(Forget("waits/forget", keep_answers=False))
    last = await journal.write(OpenWait(Wait(WaitId("waits/forget", journal.next_id(), "approval"))))
    assert last.answer is None, "answers are forgotten with their waits if asked for"


async def _keeps_answers_of_changed_code(journal: Journal) -> None:
    row, fresh = await _row(journal, "waits/change"), journal.next_id()
    ids = [WaitId("waits/change", row, "approval", number) for number in range(3)]
    for id in ids:
        await journal.write(OpenWait(Wait(id)))
    await journal.write(Deliver("waits/change", ids[0], _YES))
    await journal.write(ConsumeAnswer(ids[0]))
    await journal.write(Deliver("waits/change", ids[1], _NO))

    await journal.write(ReleaseWaits("waits/change", row))
    assert await journal.read(Waits("waits/change", tuple(WaitState))) == (), "a released row has no waits"
    opened = [
        await journal.write(OpenWait(Wait(WaitId("waits/change", fresh, "approval", number)))) for number in range(3)
    ]
    assert [wait.answer for wait in opened] == [_YES, _NO, None], (
        "the next waits of the name have the answers, in order"
    )
    assert await journal.read(RowOf(row)) is not None, "the row itself stays"


CHECKS = (
    _answers_once,
    _tells_waits_of_one_name_apart,
    _keeps_early_answers,
    _ends_waits,
    _keeps_answers_of_forgotten_rows,
    _keeps_answers_of_changed_code,
)
