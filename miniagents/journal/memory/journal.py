"""`MemoryJournal`: a journal in memory, which can die at a write."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from miniagents.errors import JournalError
from miniagents.journal import mail, retention, rows, states, waits
from miniagents.journal.handlers import handlers
from miniagents.journal.limits import MAX_MESSAGE_BYTES, PATIENCE
from miniagents.journal.memory.jobs import MemoryJobs
from miniagents.journal.memory.lives import MemoryLives, MemoryStates
from miniagents.journal.memory.mail import MemoryMail
from miniagents.journal.memory.timers import MemoryTimers
from miniagents.journal.operations import Batch, Operation, Query

R = TypeVar("R")


class MemoryJournal:
    """A journal that lives as long as the process, for tests.

    Writes take effect at the next turn of the loop, all that wait together. A test can let the process die at a write
    and start again from what had been written:

    Args:
        max_message_bytes: The largest body of a message, in bytes.
        patience: Seconds that an interaction waits to find out which of several recorded ones it is.
        die_at: The number of the write, from 0, at which the process is taken to die: this write and all later ones are
            lost, and their futures, like those of later reads, never resolve. None for never.
        on_death: Called when that write is made.

    Example:
        >>> from miniagents.journal import Accept, Unacknowledged
        >>> journal = MemoryJournal(die_at=1)
        >>> journal.open()
        >>> await journal.write(Accept(journal.next_id(), "/counter", b"first"))
        Acceptance(standing=<Standing.NEW: 'new'>, number=1, outcome=b'')
        >>> lost = journal.write(Accept(journal.next_id(), "/counter", b"second"))
        >>> journal = journal.after_death()
        >>> journal.open()
        >>> [envelope.body for envelope in await journal.read(Unacknowledged("/counter"))]
        [b'first']
    """

    def __init__(
        self,
        *,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        patience: float = PATIENCE,
        die_at: int | None = None,
        on_death: Callable[[], None] | None = None,
    ) -> None:
        self.max_message_bytes = max_message_bytes
        self.patience = patience
        self.is_dead = False
        self._die_at = die_at
        self._on_death = on_death
        self._model = _Model()
        self._is_open = False
        self._writes = 0
        self._waiting: list[tuple[Batch | Query[Any], asyncio.Future[Any]]] = []

    def open(self) -> None:
        """Open the journal; see `Journal`."""
        if not self._is_open:
            self._is_open = True
            self._model.lives.process += 1

    def next_id(self, count: int = 1) -> int:
        """Return the next number; see `Journal`."""
        model = self._model
        first, model.next_id = model.next_id, model.next_id + count
        return first

    def write(self, first: Operation[R], *more: Operation[Any]) -> asyncio.Future[R]:
        """Write operations; see `Journal`."""
        if self._writes == self._die_at and not self.is_dead:
            self.is_dead = True
            self._waiting.clear()  # what waited for the next turn is lost, too
            if self._on_death is not None:
                self._on_death()
        self._writes += 1
        return self._put((first, *more))

    def read(self, query: Query[R]) -> asyncio.Future[R]:
        """Ask a question; see `Journal`."""
        return self._put(query)

    async def close(self) -> None:
        """Write what waits, and close the journal; see `Journal`."""
        self._commit()
        self._is_open = False

    def after_death(self, *, die_at: int | None = None, on_death: Callable[[], None] | None = None) -> "MemoryJournal":
        """Return a journal of what has been written: the one that the next process opens.

        Args:
            die_at: As for the class.
            on_death: As for the class.
        """
        survivor = MemoryJournal(
            max_message_bytes=self.max_message_bytes, patience=self.patience, die_at=die_at, on_death=on_death
        )
        survivor._model = self._model
        return survivor

    def _put(self, work: Batch | Query[Any]) -> asyncio.Future[Any]:
        if not self._is_open:
            raise JournalError("the journal is not open; the system opens it, or call open()")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if self.is_dead:
            return future
        if not self._waiting:
            loop.call_soon(self._commit)
        self._waiting.append((work, future))
        return future

    def _commit(self) -> None:
        waiting, self._waiting = self._waiting, []
        for work, future in waiting:
            if isinstance(work, tuple):
                result, *_ = [self._model.handlers[type(operation)](operation) for operation in work]
            else:
                result = self._model.handlers[type(work)](work)
            if not future.done():
                future.set_result(result)


class _Model:
    """What is in the journal."""

    def __init__(self) -> None:
        self.next_id = 1
        self.lives = MemoryLives()
        self.states = MemoryStates()
        self.mail = MemoryMail(self.lives)
        self.timers = MemoryTimers()
        self.jobs = MemoryJobs(self.lives)
        self.handlers: dict[type, Callable[[Any], Any]] = {
            **handlers(self),
            mail.Accept: self.mail.accept,
            mail.Handle: self.mail.handle,
            states.Save: self.states.save,
            rows.StartRow: self.jobs.rows.start,
            rows.NoteInputs: self.jobs.rows.note_inputs,
            rows.KeepMessage: self.jobs.rows.keep_message,
            rows.FinishRow: self.jobs.rows.finish,
            rows.Record: self.jobs.rows.record,
            retention.Expire: self.expire,
            retention.Count: self.count,
        }

    def expire(self, operation: retention.Expire) -> retention.Removed:
        """Do `Expire`."""
        return retention.Removed(
            jobs=self.jobs.expire_jobs(operation.ended_before),
            roots=self.jobs.expire_roots(operation.ended_before),
            message_ids=self.mail.forget_ids(operation.handled_before),
            messages=self.jobs.rows.sweep(),
        )

    def count(self, _: retention.Count) -> retention.Counts:
        """Answer `Count`."""
        return retention.Counts(
            envelopes=len(self.mail.waiting),
            letters=len(self.mail.letters),
            message_ids=len(self.mail.ids),
            timers=len(self.timers.timers),
            jobs=len(self.jobs.jobs),
            rows=len(self.jobs.rows.rows),
            records=len(self.jobs.rows.records),
            messages=len(self.jobs.rows.messages),
            waits=len([wait for wait in self.jobs.waits.waits.values() if wait.state is waits.WaitState.WAITING]),
            snapshots=len(self.states.snapshots),
        )
