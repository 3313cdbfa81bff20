"""Messages as the bytes of a journal."""

import sys

import pytest

from miniagents import Message, MessageTooLargeError, TextMessage
from miniagents.journal import (
    UNDECODABLE,
    Accept,
    Letters,
    MemoryJournal,
    StoredEnvelope,
    Unacknowledged,
    encoded,
    kind_of,
    waiting_mail,
)


class Report(Message):
    title: str
    pages: tuple[str, ...]


def test_a_message_that_is_too_large_is_refused_and_its_largest_field_is_named() -> None:
    report = Report("short", ("a page" * 100, "another page" * 100))
    size = len(encoded(report, 10_000))

    assert encoded(report, size)
    with pytest.raises(MessageTooLargeError, match=r"^Report\.pages: the message has 1,\d+ bytes") as raised:
        encoded(report, size - 1)
    assert (raised.value.field, raised.value.size, raised.value.limit) == ("pages", size, size - 1)


async def test_waiting_mail_is_decoded_and_what_cannot_be_is_a_dead_letter_with_its_bytes_and_type() -> None:
    journal = MemoryJournal()
    journal.open()
    modules = set(sys.modules)
    bodies = [encoded(TextMessage(f"{n}"), 1000) for n in range(4)]
    unknown = bodies[1].replace(b"miniagents:TextMessage", b"antigravity:TextMessage"[:22])
    for body in (bodies[0], unknown, b"garbage", *bodies[2:]):
        for _ in range(10):  # numbers of others lie between
            number = journal.next_id()
        await journal.write(Accept(number, "/a", body, kind="antigravity:Message"))

    mail: list[tuple[StoredEnvelope, Message]] = [each async for each in waiting_mail(journal, "/a", page=2)]

    assert [str(message) for _, message in mail] == ["0", "2", "3"]
    assert [envelope.body for envelope, _ in mail] == [bodies[0], *bodies[2:]]
    letters = await journal.read(Letters("/a"))
    assert [(letter.envelope.body, letter.reason) for letter in letters] == [
        (unknown, UNDECODABLE),
        (b"garbage", UNDECODABLE),
    ]
    assert letters[0].envelope.kind == "antigravity:Message"
    assert "unknown type of message: 'antigravity:TextMessag'" in letters[0].error
    assert set(sys.modules) == modules
    assert len(await journal.read(Unacknowledged("/a"))) == 3


def test_the_kind_of_a_message_is_its_name_on_the_wire() -> None:
    assert kind_of(TextMessage("")) == "miniagents:TextMessage"
