"""Bare SQLite: the limit for the journal. The same rows, encoded the same way, in the same table, with the same settings,
in transactions of as many rows as there are senders; no loop, no senders, no thread.
"""

import functools
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from common import clock, main, note
from ours_journal import DEFAULTS, message

from miniagents.journal import encoded
from miniagents.journal.sqlite.database import connect


def database(folder: str) -> sqlite3.Connection:
    return connect(Path(folder) / "raw.db", synchronous="FULL", rollback_journal=False)


def row(number: int) -> tuple[Any, ...]:
    return (number, 1, encoded(message(number), 10_000), 2, None, b"", 0, time.time())


@note("executemany in a transaction")
def accept(senders: int, n: int) -> tuple[Any, int]:
    with tempfile.TemporaryDirectory() as folder:
        raw = database(folder)
        t = clock()
        number = 0
        for _ in range(max(1, n // senders)):
            rows = [row(number := number + 1) for _ in range(senders)]
            raw.execute("BEGIN IMMEDIATE")
            raw.executemany("INSERT INTO envelopes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            raw.execute("COMMIT")
        t = clock() - t
        assert raw.execute("SELECT count(*) FROM envelopes").fetchone() == (number,)
        raw.close()
        return t, number


WORKLOADS = dict(
    journal_accept=functools.partial(accept, 1),
    journal_accept_64=functools.partial(accept, 64),
    journal_accept_1000=functools.partial(accept, 1000),
    durable_send=functools.partial(accept, 1),
    durable_send_64=functools.partial(accept, 64),
    durable_send_1000=functools.partial(accept, 1000),
)

if __name__ == "__main__":
    defaults = {name: DEFAULTS[name] for name in WORKLOADS}
    main("sqlite", None, WORKLOADS, defaults, loops=(), ver=f"SQLite {sqlite3.sqlite_version}")
