"""The rules of mailboxes: accepting, message ids, dead letters."""

from miniagents.journal import (
    Accept,
    Acceptance,
    Bury,
    CountAttempt,
    Drop,
    Handle,
    Journal,
    Letters,
    Mailboxes,
    Resend,
    Standing,
    StandingOf,
    StoredEnvelope,
    Unacknowledged,
)


async def _bodies(journal: Journal, receiver: str) -> list[bytes]:
    return [envelope.body for envelope in await journal.read(Unacknowledged(receiver))]


async def _accept(journal: Journal, receiver: str, body: bytes, message_id: str | None = None) -> int:
    number = journal.next_id()
    await journal.write(Accept(number, receiver, body, message_id=message_id, content_key=body))
    return number


async def _keeps_order(journal: Journal) -> None:
    bodies = [b"%d" % n for n in range(25)]
    numbers = [await _accept(journal, "/mail/order", body) for body in bodies]
    await _accept(journal, "/mail/other", b"another receiver's")

    assert await _bodies(journal, "/mail/order") == bodies, "envelopes are read in the order of their numbers"
    page = await journal.read(Unacknowledged("/mail/order", after=numbers[4], limit=3))
    assert [envelope.number for envelope in page] == numbers[5:8], "a page has `limit` envelopes after `after`"
    await journal.write(Handle("/mail/order", numbers[3]), Handle("/mail/order", numbers[0]))
    assert await _bodies(journal, "/mail/order") == [*bodies[1:3], *bodies[4:]], "a handled envelope waits no more"
    counts = dict(await journal.read(Mailboxes()))
    assert (counts["/mail/order"], counts["/mail/other"]) == (23, 1), "Mailboxes counts what waits"


async def _keeps_all_of_an_envelope(journal: Journal) -> None:
    number = journal.next_id()
    body = bytes(range(256)) * 50
    await journal.write(Accept(number, "/mail/all", body, "kind", "id", b"\x00key", b"\xffmeta", 12.5))
    await journal.write(CountAttempt("/mail/all", number), CountAttempt("/mail/all", number))

    (envelope,) = await journal.read(Unacknowledged("/mail/all"))
    expected = StoredEnvelope(number, "/mail/all", body, "kind", "id", b"\xffmeta", 2, 12.5)
    assert envelope == expected, "an envelope comes back as it was accepted, with its attempts"


async def _knows_message_ids(journal: Journal) -> None:
    first, second = journal.next_id(), journal.next_id()
    accept = Accept(first, "/mail/ids", b"body", message_id="m", content_key=b"key")
    again = Accept(second, "/mail/ids", b"body", message_id="m", content_key=b"key")
    other = Accept(second, "/mail/ids", b"other", message_id="m", content_key=b"other key")

    assert await journal.read(StandingOf("/mail/ids", "m")) is None, "an unknown id has no standing"
    assert await journal.write(accept) == Acceptance(Standing.NEW, first), "an unknown id is new"
    assert await journal.write(again) == Acceptance(Standing.WAITING, first), "an id that waits is not accepted again"
    assert (await journal.write(other)).standing is Standing.CONFLICT, "the same id with other content is refused"
    assert len(await _bodies(journal, "/mail/ids")) == 1, "only the first message of an id has an envelope"
    elsewhere = await journal.write(
        Accept(second, "/mail/ids2", b"body", message_id="m", content_key=b"another receiver's")
    )
    assert elsewhere.standing is Standing.NEW, "message ids are those of a receiver"

    await journal.write(Handle("/mail/ids", first, b"outcome"))
    handled = Acceptance(Standing.HANDLED, first, b"outcome")
    assert await journal.write(again) == handled, "an id that was handled is answered with its outcome"
    assert await journal.read(StandingOf("/mail/ids", "m")) == handled, "the standing of an id can be read"
    assert (await journal.write(other)).standing is Standing.CONFLICT, "a handled id with other content is refused"
    await journal.write(Handle("/mail/ids", first, b"late"), Bury("/mail/ids", first, "late"))
    assert await journal.read(StandingOf("/mail/ids", "m")) == handled, "what is handled is not handled again"
    assert await _bodies(journal, "/mail/ids") == [], "an id that was handled has no envelope"


async def _sees_an_id_twice_in_one_write(journal: Journal) -> None:
    first, second = journal.next_id(), journal.next_id()
    results = [
        journal.write(Accept(number, "/mail/twice", b"body", message_id="m", content_key=b"key"))
        for number in (first, second)
    ]

    assert [(await result).standing for result in results] == [Standing.NEW, Standing.WAITING], (
        "of two messages with one id that come at once, one is new"
    )
    both = journal.write(Handle("/mail/twice", first, b"out"))
    third = journal.write(Accept(second, "/mail/twice", b"body", message_id="m", content_key=b"key"))
    await both
    assert (await third).standing is Standing.HANDLED, "a message is accepted after all that was written before it"
    number = await _accept(journal, "/mail/twice", b"two outcomes", "n")
    journal.write(Handle("/mail/twice", number, b"first"))
    await journal.write(Handle("/mail/twice", number, b"second"))
    standing = await journal.read(StandingOf("/mail/twice", "n"))
    assert standing is not None, "an id that was handled has a standing"
    assert standing.outcome == b"first", "of two outcomes that come at once, the first one counts"


async def _buries_and_digs_up(journal: Journal) -> None:
    number = await _accept(journal, "/mail/dead", b"poison", "m")
    second = await _accept(journal, "/mail/dead2", b"poison too", "m")
    await journal.write(CountAttempt("/mail/dead", number))
    await journal.write(Bury("/mail/dead", number, "poisonous", "it crashed", at=7.0))
    await journal.write(Bury("/mail/dead2", second, "expired"))

    assert await _bodies(journal, "/mail/dead") == [], "a buried envelope does not wait"
    (letter,) = await journal.read(Letters("/mail/dead"))
    assert (letter.reason, letter.error, letter.at) == ("poisonous", "it crashed", 7.0), "a dead letter has its reason"
    assert (letter.envelope.body, letter.envelope.attempts) == (b"poison", 1), "a dead letter has its envelope"
    numbers = [each.envelope.number for each in await journal.read(Letters())]
    assert numbers == [number, second], "the dead letters of all receivers can be read in order"
    assert len(await journal.read(Letters(after=number, limit=1))) == 1, "dead letters are read in pages"
    again = Accept(journal.next_id(), "/mail/dead", b"poison", message_id="m", content_key=b"poison")
    assert (await journal.write(again)).standing is Standing.DEAD, "the id of a dead letter is known as dead"

    fresh = journal.next_id()
    assert await journal.write(Resend(number, fresh)), "a dead letter can be sent again"
    assert not await journal.write(Resend(number, fresh)), "a dead letter can be sent again once"
    (envelope,) = await journal.read(Unacknowledged("/mail/dead"))
    assert (envelope.number, envelope.attempts) == (fresh, 0), "a letter that is sent again is a new envelope"
    assert await journal.write(again) == Acceptance(Standing.WAITING, fresh), "its message id waits again"
    await journal.write(Handle("/mail/dead", fresh, b"healed"))
    assert (await journal.write(again)).outcome == b"healed", "its message id is answered with the outcome"
    third = await _accept(journal, "/mail/dead3", b"poison again")
    await journal.write(Bury("/mail/dead3", third, "poisonous", attempts=3))
    (letter,) = await journal.read(Letters("/mail/dead3"))
    assert letter.envelope.attempts == 3, "a dead letter has the attempts that it was buried with"
    await journal.write(Drop(third))
    assert await journal.write(Drop(second)), "a dead letter can be dropped"
    assert not await journal.write(Drop(second)), "a dead letter can be dropped once"
    assert await journal.read(Letters()) == (), "a dropped letter is gone"
    again = Accept(journal.next_id(), "/mail/dead2", b"poison too", message_id="m", content_key=b"poison too")
    assert await journal.write(again) == Acceptance(Standing.DROPPED, second), "its message id is known as dropped"


CHECKS = (
    _keeps_order,
    _keeps_all_of_an_envelope,
    _knows_message_ids,
    _sees_an_id_twice_in_one_write,
    _buries_and_digs_up,
)
