"""The rules of writing, reading, opening and closing."""

import asyncio
from collections.abc import Callable

from miniagents.errors import JournalError
from miniagents.journal import Accept, Acceptance, Handle, Journal, Unacknowledged


async def _writes_in_order(open_journal: Callable[[], Journal]) -> None:
    journal = open_journal()
    journal.open()
    journal.open()
    order: list[asyncio.Future[Acceptance]] = []
    futures = [journal.write(Accept(journal.next_id(), "/writing", b"%d" % number)) for number in range(100)]
    for future in futures:
        future.add_done_callback(order.append)
    read = journal.read(Unacknowledged("/writing"))
    last = journal.write(Accept(journal.next_id(), "/writing", b"last"))
    assert len(await read) == 100, "a read shows what was written before it, and nothing that was written after it"
    await asyncio.gather(*futures, last)
    assert order == futures, "writes resolve in their order"

    await journal.write(*(Handle("/writing", envelope.number) for envelope in await read))
    assert [each.body for each in await journal.read(Unacknowledged("/writing"))] == [b"last"], "all of a write is done"
    await journal.close()


async def _finds_it_again(open_journal: Callable[[], Journal]) -> None:
    journal = open_journal()
    journal.open()
    number = journal.next_id()
    unawaited = journal.write(Accept(number, "/again", b"body"))
    await journal.close()
    assert unawaited.done(), "close waits for what was written"
    for call in (lambda: journal.write(Handle("/again", number)), lambda: journal.read(Unacknowledged("/again"))):
        try:
            call()
        except JournalError:
            continue
        raise AssertionError("a closed journal refuses writes and reads")
    await journal.close()

    journal = open_journal()
    journal.open()
    assert [each.body for each in await journal.read(Unacknowledged("/again"))] == [b"body"], (
        "what was written is there after the journal was opened again"
    )
    again = journal.next_id(5)
    assert again > number, "numbers go on after those that the journal holds"
    assert journal.next_id() >= again + 5, "of numbers that were taken at once none is given out again"
    await journal.close()


async def _goes_on_without_its_callers(open_journal: Callable[[], Journal]) -> None:
    journal = open_journal()
    journal.open()
    left = journal.write(Accept(journal.next_id(), "/left", b"body"))
    left.cancel()
    assert len(await journal.read(Unacknowledged("/left"))) == 1, "a write whose caller has left is written"
    await journal.close()


CHECKS = (_writes_in_order, _finds_it_again, _goes_on_without_its_callers)
