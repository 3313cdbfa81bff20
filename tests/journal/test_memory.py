"""`MemoryJournal`."""

import asyncio

from miniagents.journal import Accept, MemoryJournal, Unacknowledged
from miniagents.testing import check_journal


async def test_a_memory_journal_keeps_the_rules_of_a_journal() -> None:
    journal = MemoryJournal()

    await check_journal(lambda: journal)


async def test_the_write_at_which_the_process_dies_is_lost_and_so_is_all_after_it() -> None:
    deaths: list[str] = []
    journal = MemoryJournal(die_at=2, on_death=lambda: deaths.append("died"))
    journal.open()

    first = journal.write(Accept(journal.next_id(), "/a", b"0"))
    await first
    second = journal.write(Accept(journal.next_id(), "/a", b"1"))  # waits for the next turn, which does not come
    third = journal.write(Accept(journal.next_id(), "/a", b"2"))
    read = journal.read(Unacknowledged("/a"))
    for _ in range(5):
        await asyncio.sleep(0)

    assert deaths == ["died"]
    assert [future.done() for future in (second, third, read)] == [False, False, False]
    survivor = journal.after_death()
    survivor.open()
    assert [envelope.body for envelope in await survivor.read(Unacknowledged("/a"))] == [b"0"]
