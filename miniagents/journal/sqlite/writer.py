"""The thread that has the connection: it reads, writes, checkpoints, backs up and closes."""

import asyncio
import queue
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from miniagents.journal.operations import Batch, Query
from miniagents.journal.retention import Expire
from miniagents.journal.sqlite.database import as_journal_error, is_of_the_disk
from miniagents.journal.sqlite.tables import Tables
from miniagents.log import log as _log

_MOST = 10_000
"""A transaction takes no further turn of the loop once it has so many writes."""

_EXPIRE_EVERY = 600.0
"""Seconds between two looks for what is to be forgotten."""


class Work(msgspec.Struct, eq=False):
    """Something for the thread to do.

    Attributes:
        what: Operations to write together, a query, or a function of the connection that runs outside of transactions.
        future: The future of the caller.
        loop: The loop of the future.
    """

    what: Batch | Query[Any] | Callable[[sqlite3.Connection, Tables], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Writer:
    """One thread, one connection. What waits when a transaction ends is the next transaction.

    The thread outlives every error: what fails is said to those whose work it was, and the next transaction is tried.

    Args:
        path: The file.
        database: The connection, which nobody else uses from now on.
        last_id: Returns the last number that was given out.
        keep_for: Seconds that ended jobs are kept, or None for ever.
        keep_ids_for: Seconds that handled message ids are kept, or None for ever.
        on_close: Called in the thread after the connection was closed.
    """

    def __init__(
        self,
        path: Path,
        database: sqlite3.Connection,
        last_id: Callable[[], int],
        keep_for: float | None,
        keep_ids_for: float | None,
        on_close: Callable[[], None],
    ) -> None:
        self.database = database
        self.tables = Tables(database)
        self._path = path
        self._last_id = last_id
        self._keep_for = keep_for
        self._keep_ids_for = keep_ids_for
        self._on_close = on_close
        self._expire_at = time.monotonic() if keep_for is not None or keep_ids_for is not None else float("inf")
        self._closing: Work | None = None
        self._turn: list[Work] = []
        """The work of this turn of the loop. It is handed over at the end of the turn: if the thread took the first of
        a thousand writes at once, the others would wait for its sync, and for a second one."""
        self._queue: queue.SimpleQueue[list[Work] | None] = queue.SimpleQueue()
        self._settled: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any, Exception | None]]] = (
            defaultdict(list)
        )
        # A daemon, so that a program that does not close the journal can end; `stop` runs at its exit.
        self._thread = threading.Thread(target=self._run, name="miniagents-journal", daemon=True)
        self._thread.start()

    def put(self, what: Batch | Query[Any] | Callable[[sqlite3.Connection, Tables], Any]) -> asyncio.Future[Any]:
        """Queue work. Return a future of the running loop, which the thread settles."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._turn or self._turn[-1].loop is not loop:  # that of another loop may never have its turn
            loop.call_soon(self._hand_over)
        self._turn.append(Work(what, future, loop))
        return future

    def close(self) -> asyncio.Future[None]:
        """Let the thread do what is queued, close the connection, and end. The future resolves after that."""
        loop = asyncio.get_running_loop()
        self._closing = Work((), loop.create_future(), loop)
        self._end()
        return self._closing.future

    def stop(self, timeout: float = 10.0) -> None:
        """Close without a loop, at the exit of the program, and wait for the end for `timeout` seconds at most."""
        self._end()
        self._thread.join(timeout)

    def _end(self) -> None:
        self._hand_over()
        self._queue.put(None)

    def _hand_over(self) -> None:
        if self._turn:
            self._queue.put(self._turn)
            self._turn = []

    # In the thread

    def _run(self) -> None:
        is_last = False
        while not is_last:
            work, is_last = self._collect()
            for is_call, group in groupby(work, lambda each: callable(each.what)):
                if is_call:
                    for each in group:
                        self._call(each)
                else:
                    self._transact(tuple(group))
                self._settle_all()
            if time.monotonic() >= self._expire_at:
                self._expire()
        self._close()

    def _close(self) -> None:
        failure: Exception | None = None
        try:
            self.database.close()
        except sqlite3.Error as error:
            failure = error
        self._on_close()
        if self._closing is not None:
            self._settle(self._closing, None, failure)
            self._settle_all()

    def _collect(self) -> tuple[list[Work], bool]:
        """Wait for work. Return all that waits, and whether it is the last."""
        collected: list[Work] = []
        try:
            work = self._queue.get(timeout=self._until_expiry())
            while work is not None:
                collected += work
                if len(collected) >= _MOST:
                    return collected, False
                work = self._queue.get_nowait()
        except queue.Empty:
            return collected, False
        return collected, True

    def _until_expiry(self) -> float | None:
        return max(self._expire_at - time.monotonic(), 0.0) if self._expire_at != float("inf") else None

    def _transact(self, batch: Sequence[Work]) -> None:
        """Do writes and reads in their order, all writes in one transaction, and settle them."""
        if not any(isinstance(work.what, tuple) for work in batch):
            for work in batch:
                self._settle(work, *self._answer(work))
            return
        try:
            self.database.execute("BEGIN IMMEDIATE")
            outcomes = self._carry_out(batch)
            self.tables.note_last_id(self._last_id())
            self.database.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            if len(batch) > 1 and not is_of_the_disk(error):
                for work in batch:  # one of them cannot be written, and the others must not fail with it
                    self._transact([work])
                return
            for work in batch:
                self._settle(work, None, error)
            return
        settled = self._settled
        for work, (result, failure) in zip(batch, outcomes, strict=True):
            if failure is None:
                settled[work.loop].append((work.future, result, None))
            else:
                self._settle(work, None, failure)

    def _carry_out(self, batch: Sequence[Work]) -> list[tuple[Any, Exception | None]]:
        outcomes: list[tuple[Any, Exception | None]] = []
        writes: list[Batch] = []
        for work in batch:
            if isinstance(work.what, tuple):
                writes.append(work.what)
                continue
            # An answer shows what was written before it, and is given once that is on disk.
            outcomes += self._write(writes)
            writes = []
            outcomes.append(self._answer(work))
        outcomes += self._write(writes)
        return outcomes

    def _write(self, writes: Sequence[Batch]) -> list[tuple[Any, Exception | None]]:
        return [(result, None) for result in self.tables.execute(writes)]

    def _answer(self, work: Work) -> tuple[Any, Exception | None]:
        was_in_transaction = self.database.in_transaction
        try:
            return self.tables.read(work.what), None  # type: ignore[arg-type]  # the callers have looked
        except Exception as error:
            if was_in_transaction and not self.database.in_transaction:
                raise  # the writes of this transaction are lost with it
            return None, error

    def _call(self, work: Work) -> None:
        try:
            self._settle(work, work.what(self.database, self.tables), None)  # type: ignore[operator]  # the same
        except Exception as error:
            self._roll_back()
            self._settle(work, None, error)

    def _roll_back(self) -> None:
        # After SQLITE_FULL and many I/O errors SQLite itself has rolled back already.
        try:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")
            self.tables.forget()
        except sqlite3.Error as error:
            _log.error("journal.rollback_failed", path=str(self._path), error=str(error))

    def _expire(self) -> None:
        self._expire_at = time.monotonic() + _EXPIRE_EVERY
        now = time.time()
        before = [now - keep if keep is not None else float("-inf") for keep in (self._keep_for, self._keep_ids_for)]
        try:
            self.database.execute("BEGIN IMMEDIATE")
            self.tables.expire(Expire(*before), is_sweep_due=False)
            self.database.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            _log.warning("journal.expire_failed", path=str(self._path), error=str(error))

    def _settle(self, work: Work, result: Any, error: Exception | None) -> None:
        failure = as_journal_error(error, self._path) if error is not None else None
        self._settled[work.loop].append((work.future, result, failure))

    def _settle_all(self) -> None:
        for loop, settled in self._settled.items():
            try:
                loop.call_soon_threadsafe(_settle_futures, settled)
            except RuntimeError:  # the loop is closed, and nobody waits any more
                pass
        self._settled.clear()


def _settle_futures(settled: Sequence[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
    for future, result, error in settled:
        if future.done():  # its caller has left
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
