"""The rules of rows, replies, records and kept messages."""

from miniagents.journal import (
    Answer,
    Answers,
    Children,
    FinishRow,
    Journal,
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
    RowState,
    StartRow,
)


def _start(journal: Journal, parent: int, slot: bytes, number: int = 0) -> StartRow:
    id = journal.next_id()
    return StartRow(id, parent, slot, number, "", "agents:searcher", id, 1.5)


async def _finds_rows_by_parent_and_slot(journal: Journal) -> None:
    root = _start(journal, 0, b"rows/root")
    second, first = _start(journal, root.id, b"slot", 1), _start(journal, root.id, b"slot", 0)
    other_slot, other_parent = _start(journal, root.id, b"slot2"), _start(journal, first.id, b"slot")
    await journal.write(root, second, first, other_slot, other_parent)

    found = await journal.read(RowsAt(root.id, b"slot"))
    assert [row.id for row in found] == [first.id, second.id], "rows are found by parent and slot, sorted by number"
    assert await journal.read(RowsAt(root.id, b"slot3")) == (), "an unknown slot has no rows"
    below = [row.id for row in await journal.read(Children(root.id))]
    assert below == sorted([second.id, first.id, other_slot.id]), "the children of a row are found"
    assert len(await journal.read(Children(root.id, after=below[0], limit=1))) == 1, "children are read in pages"
    assert await journal.read(RowOf(root.id + 1_000_000)) is None, "an unknown row is None"
    expected = Row(
        second.id, root.id, b"slot", 1, "", "agents:searcher", RowState.RUNNING, second.id, 0, 1, (), False, b"", 1.5
    )
    assert found[1] == expected, "a row that was started is running, with one attempt and no inputs"


async def _finishes_and_restarts(journal: Journal) -> None:
    start = _start(journal, 0, b"rows/finish")
    keys = (b"\x01" * 32, b"\x02" * 32)
    journal.write(start)
    journal.write(NoteInputs(start.id, keys[:1], False))
    journal.write(NoteInputs(start.id, keys, True))
    replies = (Reply(keys[0], 1, (3, 7, 12)), Reply(b"", -1, error=b"error"), Reply(keys[0], 2))
    finished = journal.next_id()
    await journal.write(
        KeepMessage(keys[0], b"body"), FinishRow(start.id, RowState.FAILED, finished, replies, b"why", 9.5)
    )

    row = await journal.read(RowOf(start.id))
    assert row is not None, "a row that was finished is there"
    assert (row.state, row.finished, row.error, row.at) == (RowState.FAILED, finished, b"why", 9.5), "a row has its end"
    assert (row.inputs, row.is_input_complete) == (keys, True), "a row has the inputs that were noted last"
    answers = await journal.read(Answers((start.id,)))
    assert answers[start.id] == Answer(replies, {keys[0]: b"body"}), "replies are read in their order, with messages"

    await journal.write(Record(start.id, "model", b"paid", value=b"answer"))
    restarted = journal.next_id()
    await journal.write(RestartRow(start.id, restarted, 10.5))
    row = await journal.read(RowOf(start.id))
    assert row is not None, "a row that was started again is there"
    assert (row.state, row.started, row.finished, row.attempts) == (RowState.RUNNING, restarted, 0, 2), (
        "a row that is started again is running, with a fresh start and one more attempt"
    )
    assert (row.inputs, row.is_input_complete, row.error) == ((), False, b""), "its inputs and error are gone"
    assert await journal.read(Answers((start.id,))) == {start.id: Answer()}, "its replies are gone"
    assert len(await journal.read(Records(start.id))) == 1, "its records stay"
    first = FinishRow(start.id, RowState.FAILED, journal.next_id(), replies)
    last = FinishRow(start.id, RowState.FINISHED, journal.next_id(), replies[:1], at=11.5)
    await journal.write(first, last)
    row = await journal.read(RowOf(start.id))
    assert row is not None, "a row that was finished twice is there"
    assert (row.state, row.finished, row.at) == (RowState.FINISHED, last.finished, 11.5), "its last end counts"
    answers = await journal.read(Answers((start.id,)))
    assert answers[start.id].replies == replies[:1], "the replies of its last end count"
    unknown = journal.next_id()
    await journal.write(FinishRow(unknown, RowState.FINISHED, unknown, replies), NoteInputs(unknown, (), True))
    assert await journal.read(RowOf(unknown)) is None, "an unknown row is neither finished nor made"
    assert await journal.read(Answers((unknown,))) == {unknown: Answer()}, "an unknown row gets no replies"


async def _reads_many_answers(journal: Journal) -> None:
    starts = [_start(journal, 0, b"rows/answers", number) for number in range(4)]
    ids = [start.id for start in starts]
    ends = [
        FinishRow(id, RowState.FINISHED, journal.next_id(), (Reply(f"answer {id}".encode(), -1),))
        for id in (ids[0], ids[2], ids[3])
    ]
    kept = [KeepMessage(end.replies[0].message, b"ten bytes!") for end in ends[1:]]
    await journal.write(starts[0], *starts[1:], *ends, *kept)

    answers = await journal.read(Answers(tuple(reversed(ids))))
    assert list(answers) == ids, "the answers of several rows are read at once, the lowest row first"
    assert answers[ids[0]] == Answer(ends[0].replies), "a message that is not there is left out"
    assert answers[ids[1]] == Answer(), "a row without replies has an empty answer"
    assert answers[ids[3]].bodies == {ends[2].replies[0].message: b"ten bytes!"}, "messages come with the replies"
    answers = await journal.read(Answers(tuple(ids), most_bytes=10))
    assert list(answers) == ids[:3], "no more answers follow once their messages have so many bytes"
    answers = await journal.read(Answers(tuple(ids[2:]), most_bytes=1))
    assert list(answers) == ids[2:3], "the answer of the lowest row is there, whatever its size"


async def _keeps_messages_once(journal: Journal) -> None:
    await journal.write(KeepMessage(b"k1", b"first"), KeepMessage(b"k2", b""))
    await journal.write(KeepMessage(b"k1", b"second"))

    kept = await journal.read(KeptMessages((b"k1", b"k2", b"k3")))
    assert kept == {b"k1": b"first", b"k2": b""}, "a message is kept once, and an unknown key is left out"


async def _records_what_was_paid(journal: Journal) -> None:
    start = _start(journal, 0, b"rows/records")
    records = (
        Record(start.id, "model", b"request", 0, b"answer", b"message"),
        Record(start.id, "model", b"request", 1, b"other answer"),
        Record(start.id, "once", b"request", 0, b""),
        Record(start.id, "tool", b"call", 0, None),
    )
    await journal.write(start, *reversed(records))

    assert await journal.read(Records(start.id)) == records, "records are told apart by kind, key and number"
    done = Record(start.id, "tool", b"call", 0, b"result")
    await journal.write(done)
    assert await journal.read(Records(start.id)) == (*records[:3], done), "a record takes the place of its start"


CHECKS = (
    _finds_rows_by_parent_and_slot,
    _finishes_and_restarts,
    _reads_many_answers,
    _keeps_messages_once,
    _records_what_was_paid,
)
