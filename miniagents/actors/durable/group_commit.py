"""`GroupCommit`: what the mailboxes of a system accept in one turn of the loop is one write of the journal."""

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from miniagents.journal.journal import Journal
from miniagents.journal.mail import Accept

if TYPE_CHECKING:
    from miniagents.actors.durable.inbox import JournalInbox
    from miniagents.actors.messaging.entries import Enveloped


class _Part:
    """The part of one mailbox in a write: its entries, and the operations that accept them."""

    __slots__ = ("entries", "inbox", "operations")

    def __init__(self, inbox: "JournalInbox") -> None:
        self.inbox = inbox
        self.entries: list[Enveloped] = []
        self.operations: list[Accept] = []


class GroupCommit:
    """Writes the entries that the mailboxes of a system accept in one turn of the loop together.

    A write of its own for each of a thousand entries would cost a thousand futures, callbacks and contexts, which the
    garbage collector looks through while the disk works.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._parts: dict[JournalInbox, _Part] = {}

    def add(self, inbox: "JournalInbox", entry: "Enveloped", operation: Accept) -> None:
        """Have an entry written at the end of this turn. The inbox is told how that has ended."""
        part = self._parts.get(inbox)
        if part is None:
            if not self._parts:
                asyncio.get_running_loop().call_soon(self.flush)
            part = self._parts[inbox] = _Part(inbox)
        part.entries.append(entry)
        part.operations.append(operation)

    def flush(self) -> None:
        """Hand what was added to the journal, before a read or write that has to come after that."""
        if self._parts:
            parts, self._parts = tuple(self._parts.values()), {}
            try:
                written = self._journal.write(*chain.from_iterable([part.operations for part in parts]))
            except Exception:
                self._write_one_by_one(parts)
            else:
                written.add_done_callback(partial(self._written, parts))

    def _written(self, parts: Sequence[_Part], written: "asyncio.Future[Any]") -> None:
        if written.cancelled() or written.exception() is not None:
            self._write_one_by_one(parts)
        else:
            for part in parts:
                part.inbox.written(part.entries)

    def _write_one_by_one(self, parts: Sequence[_Part]) -> None:
        """Nothing of a write is in the journal: write each entry alone, so that one that cannot be written fails alone,
        and each sender gets an error of its own."""
        for part in parts:
            for entry, operation in zip(part.entries, part.operations, strict=True):
                try:
                    part.inbox.write_alone(entry, operation)
                except Exception as error:  # the journal is closed
                    part.inbox.not_written(entry, error)
