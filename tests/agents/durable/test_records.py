"""The records of a call in the journal."""

from typing import Any

import pytest

from miniagents import JournalError, TextMessage
from miniagents.agents.durable.records import JournalRecords
from miniagents.journal import KeptMessages, MemoryJournal
from miniagents.journal import Records as RecordsOf


class Unreadable(MemoryJournal):
    """A journal of which some kind of query fails."""

    broken: type[Any] | None = None

    def read(self, query: Any) -> Any:
        future = super().read(query)
        if self.broken is None or not isinstance(query, self.broken):
            return future
        failed = future.get_loop().create_future()
        failed.set_exception(JournalError("the disk is gone"))
        return failed


@pytest.mark.parametrize("broken", [RecordsOf, KeptMessages])
async def test_records_that_could_not_be_read_are_read_when_they_are_asked_for_again(broken: type[Any]) -> None:
    journal = Unreadable()
    journal.open()
    await JournalRecords(journal, 1, lambda: None, is_fresh=True).record("once", b"key", b"17", TextMessage("a"))
    records = JournalRecords(journal, 1, lambda: None)

    journal.broken = broken
    with pytest.raises(JournalError, match="gone"):
        await records.load()
    journal.broken = None
    record = await records.recorded("once", b"key")

    assert record is not None
    assert (record.value, str(record.message)) == (b"17", "a")
