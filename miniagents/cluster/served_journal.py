"""`ServedJournal`: the journal of this node, the driver, as another node uses it over its link."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from miniagents.cluster import items
from miniagents.cluster.channel import Channel
from miniagents.cluster.frames import check_size, pack
from miniagents.cluster.journal_wire import work_from_wire
from miniagents.cluster.linked_journal import NUMBERS
from miniagents.errors import DecodeError, JournalError

if TYPE_CHECKING:
    from miniagents.journal import Journal


class ServedJournal:
    """Hands the writes and reads of another node to the journal here, in their order, and sends back the results.

    What a lost node has sent later is not taken any more, since its frames are thrown away. So what the next place of
    an actor reads is all that there will ever be of the last one.

    Args:
        journal: The journal of this node, or None.
        channel: The way to the other node.
    """

    def __init__(self, journal: "Journal | None", channel: Channel) -> None:
        self._journal = journal
        self._channel = channel

    def write(self, number: int, operations: Any) -> None:
        """Take a write."""
        try:
            journal = self._opened()
            future = journal.write(*(work_from_wire(data) for data in operations))
        except (DecodeError, JournalError) as error:
            self._failed(number, error)
        else:
            future.add_done_callback(partial(self._answer, number, is_read=False))

    def read(self, number: int, query: Any) -> None:
        """Take a read; without a query new numbers are all that is wanted."""
        try:
            journal = self._opened()
            if query is None:
                self._send(number, None, journal.next_id(NUMBERS))
                return
            future = journal.read(work_from_wire(query))
        except (DecodeError, JournalError) as error:
            self._failed(number, error)
        else:
            future.add_done_callback(partial(self._answer, number, is_read=True))

    def _opened(self) -> "Journal":
        if self._journal is None:
            raise JournalError("the driver has no journal: journal=SqliteJournal(path), of miniagents.journal")
        return self._journal

    def _answer(self, number: int, future: "asyncio.Future[Any]", *, is_read: bool) -> None:
        error = JournalError("the journal was closed") if future.cancelled() else future.exception()
        if error is not None:
            self._failed(number, error)
            return
        try:
            self._send(number, future.result(), self._opened().next_id(NUMBERS) if is_read else None)
        except Exception as unsent:  # an answer that is too large for a link
            self._failed(number, unsent)

    def _send(self, number: int, result: Any, first: int | None) -> None:
        data = pack([items.JOURNAL_ANSWER, number, result, first])
        check_size(data, "the journal")
        self._channel.send(data)

    def _failed(self, number: int, error: BaseException) -> None:
        self._channel.send(pack([items.JOURNAL_FAILED, number, items.error_to_wire(error)]))
