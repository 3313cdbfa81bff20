"""The `Journal`: what a store does for durable mailboxes, interactions and waits."""

import asyncio
from typing import Any, Protocol, TypeVar

from miniagents.journal.operations import Operation, Query

R = TypeVar("R")


class Journal(Protocol):
    """A store of operations. `SqliteJournal` and `MemoryJournal` are journals, and a class of your own can be one.

    A journal knows bytes, names and numbers. It never decodes a message, and never imports a module.
    `miniagents.testing.check_journal` checks the rules that are written here and at the operations.

    All methods belong to the thread of one event loop, save for the work that a journal does in threads of its own.
    """

    @property
    def max_message_bytes(self) -> int:
        """The largest body of a message, in bytes; `encoded` refuses a larger one."""

    @property
    def patience(self) -> float:
        """Seconds that an interaction waits to find out which of several recorded ones it is."""

    def open(self) -> None:
        """Open the journal; an open journal stays as it is.

        Raises:
            JournalLockedError: Another process has it.
            JournalError: It cannot be opened; the text says why, and what to do.
        """

    def next_id(self, count: int = 1) -> int:
        """Return a number that is larger than all that the journal has given out or holds: for an envelope, a row, a
        start or a finish. Numbers of operations that are never written are lost, which does no harm.

        Args:
            count: How many numbers are taken, 1 or more: the one that is returned, and those that follow it. The nodes
                of a cluster get many at once.
        """

    def write(self, first: Operation[R], *more: Operation[Any]) -> asyncio.Future[R]:
        """Write operations. All of them are in the journal, or none is, also after a crash.

        The call returns at once. Writes and reads take effect in the order of the calls. What waits at the same time
        becomes one transaction.

        Returns:
            A future with the result of the first operation. It resolves once the operations are on disk. Nobody needs
            to await it, unless what follows relies on the write.

        Raises:
            JournalError: In the future: nothing of this write is in the journal, and the journal goes on. At the call:
                the journal is not open.
        """

    def read(self, query: Query[R]) -> asyncio.Future[R]:
        """Ask a question. The answer shows all that was written before the call, and only what is on disk.

        Raises:
            JournalError: In the future: the journal cannot be read. At the call: the journal is not open.
        """

    async def close(self) -> None:
        """Write what waits, and close the journal. A closed journal can be opened again."""
