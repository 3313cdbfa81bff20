"""The records of a call in the journal."""

import asyncio
from collections.abc import Callable
from typing import Any

from miniagents.agents.durable.read_once import ReadOnce
from miniagents.agents.records import Recorded, Records
from miniagents.errors import DecodeError, JournalError, MessageTooLargeError, UnencodableError
from miniagents.journal import Journal, KeepMessage, KeptMessages, Operation, Record, encoded
from miniagents.journal import Records as RecordsOf
from miniagents.log import log as _log
from miniagents.messages import Message, decode


class JournalRecords(ReadOnce, Records):
    """The records of a call in the journal. They are read once, when the first one is asked for.

    Args:
        journal: The journal.
        row: The row of the call.
        on_new: Called when something is asked for that is not recorded.
        is_fresh: Whether the row is new, so that nothing of it is in the journal.
    """

    def __init__(self, journal: Journal, row: int, on_new: Callable[[], None], *, is_fresh: bool = False) -> None:
        ReadOnce.__init__(self, is_loaded=is_fresh)
        Records.__init__(self)
        self._on_new = on_new
        self._journal = journal
        self._row = row

    async def _load(self) -> None:
        records = await self._journal.read(RecordsOf(self._row))
        keys = tuple(record.message for record in records if record.message)
        bodies = await self._journal.read(KeptMessages(keys)) if keys else {}
        for record in records:
            self._values.setdefault((record.kind, record.key, record.number), _recorded(record, bodies))
        self._is_loaded = True

    @property
    def has_results(self) -> bool:
        """True if any record that was read, or made since, has a result."""
        return any(record.value is not None for record in self._values.values())

    @property
    def has_started(self) -> bool:
        """True if the code has asked for something that was started and has no result."""
        asked = self._asked
        return any(record.value is None and key[:2] in asked for key, record in self._values.items())

    async def recorded(self, kind: str, key: bytes) -> Recorded | None:
        """Return the next record of a kind and key; see `Records.recorded`.

        Raises:
            JournalError: The journal cannot be read.
        """
        if not self._is_loaded:
            await self.load()
        record = self._next(kind, key)
        if record is None or record.value is None:
            self._on_new()
        return record

    def record_soon(self, kind: str, key: bytes, value: bytes | None, message: Message | None = None) -> None:
        """Record a result for which nobody waits; see `Records.record_soon`."""
        try:
            self.record(kind, key, value, message).add_done_callback(log_failed_write)
        except (JournalError, MessageTooLargeError, UnencodableError) as error:
            _log.error("journal.not_recorded", row=self._row, kind=kind, error=str(error))

    def _write(
        self, kind: str, key: bytes, number: int, value: bytes | None, message: Message | None, also: tuple[Any, ...]
    ) -> "asyncio.Future[None]":
        kept: list[Operation[Any]] = []
        name = b""
        if message is not None:
            name = key_of(message)
            kept.append(KeepMessage(name, encoded(message, self._journal.max_message_bytes)))
        return self._journal.write(Record(self._row, kind, key, number, value, name), *kept, *also)


def log_failed_write(write: "asyncio.Future[Any]") -> None:
    """Log a write for which nobody waits, if it has failed."""
    if not write.cancelled() and (error := write.exception()) is not None:
        _log.error("journal.not_written", error=str(error))


def key_of(message: Message) -> bytes:
    """Return the key under which a message is kept: a hash of all of it, with its metadata."""
    return bytes.fromhex(message.hash_key)


def _recorded(record: Record, bodies: dict[bytes, bytes]) -> Recorded:
    """Return a record with its message. Without the class of the message it counts as started, without a result."""
    message: Message | None = None
    if record.message:
        try:
            message = decode(bodies[record.message])
        except (KeyError, DecodeError):
            return Recorded(record.number, None)
    return Recorded(record.number, record.value, message)
