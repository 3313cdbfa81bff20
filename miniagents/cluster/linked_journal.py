"""`LinkedJournal`: the journal of the driver, as a node uses it. No node has a store of its own: its disk may be lost
with it, and two stores would not be one transaction."""

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from miniagents.cluster import items
from miniagents.cluster.channel import Channel
from miniagents.cluster.frames import check_size, pack
from miniagents.cluster.journal_wire import result_from_wire, work_to_wire
from miniagents.errors import DecodeError, JournalError
from miniagents.journal.operations import Operation, Query

if TYPE_CHECKING:
    from miniagents.cluster.nodes import ClusterNodes

R = TypeVar("R")

NUMBERS = 1 << 20
"""The numbers that a node gets at once. It asks for others when half of them are taken."""


class JournalTerms(msgspec.Struct, array_like=True, frozen=True):
    """What a node is told of the journal of the driver.

    Attributes:
        max_message_bytes: As in `Journal`.
        patience: As in `Journal`.
        records_all: Whether the calls of all agents are recorded.
        first: The first of the `NUMBERS` that the node may give to envelopes and rows.
    """

    max_message_bytes: int
    patience: float
    records_all: bool
    first: int


class LinkedJournal:
    """The journal of the driver, as a node uses it: a `Journal` whose writes and reads travel over the link.

    The link keeps their order. A write is on the disk of the driver once its future has resolved. Each answer to a read
    brings new numbers, which are larger than all that the answer shows. So an actor that has moved here gives larger
    numbers to new messages than those that it has found.

    Who ends its waits: the answers of the driver, or `lost`, after which each write and read fails.

    Args:
        terms: What the driver has told of the journal.
    """

    def __init__(self, terms: JournalTerms) -> None:
        self.max_message_bytes = terms.max_message_bytes
        self.patience = terms.patience
        self._next = terms.first
        self._end = terms.first + NUMBERS
        self._asks_for_numbers = False
        self._is_open = False
        self._channel: Channel | None = None
        self._lost: BaseException | None = None
        self._count = 0
        self._waiting: dict[int, tuple[Any, asyncio.Future[Any] | None]] = {}

    def connect(self, nodes: "ClusterNodes", driver: Any) -> None:
        """Begin to use the link to the driver.

        Args:
            nodes: The nodes, as this one knows them.
            driver: The driver.
        """
        nodes.journal = self
        self._channel = nodes.peer(driver).channel

    def open(self) -> None:
        """Take writes and reads. The journal itself is opened by the driver."""
        self._is_open = True

    def next_id(self, count: int = 1) -> int:
        """Return the next number, or the first of so many; see `Journal`.

        Raises:
            JournalError: The driver has not answered for so long that all numbers are taken.
        """
        first, self._next = self._next, self._next + count
        if self._end - self._next < NUMBERS // 2:
            if self._next > self._end:
                raise JournalError("the driver has not given this node more numbers for its journal yet")
            if not self._asks_for_numbers and self._channel is not None:
                self._asks_for_numbers = True
                self._send(items.JOURNAL_READ, None, None)
        return first

    def write(self, first: Operation[R], *more: Operation[Any]) -> asyncio.Future[R]:
        """Write operations; see `Journal`."""
        return self._asked(items.JOURNAL_WRITE, first, [work_to_wire(operation) for operation in (first, *more)])

    def read(self, query: Query[R]) -> asyncio.Future[R]:
        """Ask a question; see `Journal`."""
        return self._asked(items.JOURNAL_READ, query, work_to_wire(query))

    async def close(self) -> None:
        """Take no more writes and reads, and wait for the answers that are to come. The driver closes the journal."""
        self._is_open = False
        waiting = [future for _, future in self._waiting.values() if future is not None and not future.done()]
        if waiting:
            await asyncio.wait(waiting)

    def _asked(self, kind: int, work: Any, data: Any) -> "asyncio.Future[Any]":
        if not self._is_open or self._channel is None:
            raise JournalError("the journal of the driver is not open here: the node has not joined yet, or has ended")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        if self._lost is None:
            self._send(kind, data, (work, future))
        else:
            future.set_exception(_unreached(self._lost))
        return future

    def _send(self, kind: int, data: Any, waiting: "tuple[Any, asyncio.Future[Any]] | None") -> None:
        assert self._channel is not None  # both callers have looked
        self._count += 1
        item = pack([kind, self._count, data])
        check_size(item, "the journal")
        self._waiting[self._count] = waiting if waiting is not None else (None, None)
        self._channel.send(item)

    @property
    def open_works(self) -> int:
        """The number of writes and reads without an answer."""
        return len(self._waiting)

    # What comes from the driver

    def answered(self, number: int, result: Any, first: int | None) -> None:
        """Take the answer to a write or a read.

        Args:
            number: The number of the write or read.
            result: Its result.
            first: The first of the `NUMBERS` that come with the answer to a read.
        """
        work, future = self._waiting.pop(number, (None, None))
        if first is not None:
            self.take_numbers(first)
        if future is None or future.done():
            return
        try:
            future.set_result(result_from_wire(work, result))
        except DecodeError as error:
            future.set_exception(JournalError(str(error)))

    def take_numbers(self, first: int) -> None:
        """Give out new numbers from now on.

        Args:
            first: The first of them.
        """
        self._next, self._end = first, first + NUMBERS
        self._asks_for_numbers = False

    def failed(self, number: int, error: BaseException) -> None:
        """Take the failure of a write or a read."""
        _, future = self._waiting.pop(number, (None, None))
        if future is not None and not future.done():
            future.set_exception(error)

    def lost(self, error: BaseException) -> None:
        """Fail all that waits and all that comes: the driver is lost, or this node ends."""
        self._lost = error
        waiting, self._waiting = self._waiting, {}
        for _, future in waiting.values():
            if future is not None and not future.done():
                future.set_exception(_unreached(error))


def _seen(future: "asyncio.Future[Any]") -> None:
    """Nobody needs to await a write, so that its failure need not be heard."""
    if not future.cancelled():
        future.exception()


def _unreached(error: BaseException) -> JournalError:
    unreached = JournalError(f"the journal of the driver cannot be reached any more: {error}")
    unreached.__cause__ = error
    return unreached
