"""The rows, replies, records and kept messages of a `SqliteJournal`."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from miniagents.journal.lives import job_subject
from miniagents.journal.rows import (
    Answer,
    Answers,
    Children,
    FinishRow,
    KeepMessage,
    KeptMessages,
    NoteInputs,
    Record,
    Records,
    Reply,
    RestartRow,
    Row,
    RowOf,
    RowsAt,
    RowsOfJob,
    RowState,
    StartRow,
)
from miniagents.journal.sqlite.codes import ROW_STATES
from miniagents.journal.sqlite.inserting import Insert
from miniagents.journal.sqlite.lives import SqliteLives
from miniagents.journal.sqlite.names import Names

_SELECT = (
    "SELECT rows.id, parent, slot, number, jobs_.name, agents.name, state, started, finished, attempts, inputs, "
    "is_input_complete, error, at FROM rows "
    "JOIN names AS jobs_ ON jobs_.id = job JOIN names AS agents ON agents.id = agent"
)
_RUNNING = ROW_STATES.of[RowState.RUNNING]
_insert_rows = Insert("INSERT INTO rows VALUES", f"?, ?, ?, ?, ?, ?, {_RUNNING}, ?, 0, 1, x'', FALSE, x'', ?")
_insert_messages = Insert("INSERT INTO messages (key, body) VALUES", "?, ?", "ON CONFLICT DO NOTHING")
_insert_records = Insert("INSERT OR REPLACE INTO records VALUES", "?, ?, ?, ?, ?, ?")
_encode = msgspec.msgpack.Encoder().encode
_keys = msgspec.msgpack.Decoder(tuple[bytes, ...]).decode
_numbers = msgspec.msgpack.Decoder(tuple[int, ...]).decode

_ANSWERS = (
    "SELECT row, message, inputs, tokens, error, body FROM replies LEFT JOIN messages ON key = message "
    "WHERE row IN (SELECT value FROM json_each(?)) ORDER BY row, position"
)

_BELOW = (
    "WITH RECURSIVE below (id) AS (SELECT id FROM rows WHERE id = ? AND job = ? UNION ALL "
    "SELECT rows.id FROM below JOIN rows ON rows.parent = below.id) SELECT id FROM below"
)


class SqliteRows:
    """Interactions and what belongs to them.

    Args:
        database: The connection, in the thread of the journal.
        names: The table of names.
        lives: Where progress is noted.
    """

    def __init__(self, database: sqlite3.Connection, names: Names, lives: SqliteLives) -> None:
        self._database = database
        self._names = names
        self._lives = lives

    def start(self, operations: Sequence[StartRow]) -> None:
        """Do several `StartRow`."""
        number = self._names.number
        rows: list[Any] = []
        for each in operations:
            job, agent = number(each.job), number(each.agent)
            rows += (each.id, each.parent, each.slot, each.number, job, agent, each.started, each.at)
        _insert_rows(self._database, rows)

    def restart(self, operation: RestartRow) -> None:
        """Do `RestartRow`."""
        sql = (
            "UPDATE rows SET state = ?, started = ?, finished = 0, attempts = attempts + 1, inputs = X'', "
            "is_input_complete = FALSE, error = X'', at = ? WHERE id = ?"
        )
        self._database.execute(sql, (_RUNNING, operation.started, operation.at, operation.id))
        self._database.execute("DELETE FROM replies WHERE row = ?", (operation.id,))

    def note_inputs(self, operations: Sequence[NoteInputs]) -> None:
        """Do several `NoteInputs`; of those of one row the last one counts."""
        last = {each.id: each for each in operations}.values()
        rows = [(_encode(each.inputs) if each.inputs else b"", each.is_complete, each.id) for each in last]
        self._database.executemany("UPDATE rows SET inputs = ?, is_input_complete = ? WHERE id = ?", rows)

    def keep_messages(self, operations: Sequence[KeepMessage]) -> None:
        """Do several `KeepMessage`."""
        _insert_messages(self._database, [value for each in operations for value in (each.key, each.body)])

    def finish(self, operations: Sequence[FinishRow]) -> None:
        """Do several `FinishRow`; of those of one row the last one counts."""
        operations = tuple({each.id: each for each in operations}.values())
        rows = [(ROW_STATES.of[each.state], each.finished, each.error, each.at, each.id) for each in operations]
        self._database.executemany("UPDATE rows SET state = ?, finished = ?, error = ?, at = ? WHERE id = ?", rows)
        ids = json.dumps([each.id for each in operations])
        self._database.execute("DELETE FROM replies WHERE row IN (SELECT value FROM json_each(?))", (ids,))
        # A row that is not there gets no replies.
        sql = "INSERT INTO replies SELECT ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM rows WHERE id = ?)"
        self._database.executemany(sql, [reply for each in operations for reply in _replies(each)])
        self._progress(each.id for each in operations)

    def record(self, operations: Sequence[Record]) -> None:
        """Do several `Record`."""
        records: list[Any] = []
        for each in operations:
            records += (each.row, each.kind, each.key, each.number, each.value, each.message)
        _insert_records(self._database, records)
        self._progress(each.row for each in operations if each.value is not None)

    def rows_at(self, query: RowsAt) -> tuple[Row, ...]:
        """Answer `RowsAt`."""
        return self._select("WHERE parent = ? AND slot = ? ORDER BY number, rows.id", query.parent, query.slot)

    def children(self, query: Children) -> tuple[Row, ...]:
        """Answer `Children`."""
        where = "WHERE parent = ? AND rows.id > ? ORDER BY rows.id LIMIT ?"
        return self._select(where, query.parent, query.after, query.limit)

    def row_of(self, query: RowOf) -> Row | None:
        """Answer `RowOf`."""
        return next(iter(self._select("WHERE rows.id = ?", query.id)), None)

    def rows_of_job(self, query: RowsOfJob) -> tuple[Row, ...]:
        """Answer `RowsOfJob`."""
        where = "WHERE job = ? AND rows.id > ? ORDER BY rows.id LIMIT ?"
        return self._select(where, self._names.known(query.job), query.after, query.limit)

    def answers_of(self, query: Answers) -> dict[int, Answer]:
        """Answer `Answers`."""
        answers = {row: (list[Reply](), dict[bytes, bytes]()) for row in sorted(query.rows)}
        size = last = 0
        cursor = self._database.execute(_ANSWERS, (json.dumps(query.rows),))
        try:
            for row, message, inputs, tokens, error, body in cursor:
                if last and row != last and size >= query.most_bytes:
                    answers = {id: answer for id, answer in answers.items() if id < row}
                    break
                last = row
                replies, bodies = answers[row]
                replies.append(Reply(message, inputs, tuple(accumulate(_numbers(tokens))) if tokens else (), error))
                if body is not None and message not in bodies:
                    bodies[message] = body
                    size += len(body)
        finally:
            cursor.close()  # one that is left open would keep the log from being checkpointed
        return {row: Answer(tuple(replies), bodies) for row, (replies, bodies) in answers.items()}

    def records_of(self, query: Records) -> tuple[Record, ...]:
        """Answer `Records`."""
        sql = "SELECT * FROM records WHERE row = ? ORDER BY kind, key, number"
        return tuple(Record(*row) for row in self._database.execute(sql, (query.row,)).fetchall())

    def kept_messages(self, query: KeptMessages) -> dict[bytes, bytes]:
        """Answer `KeptMessages`."""
        sql = "SELECT key, body FROM messages WHERE key = ?"
        rows = (self._database.execute(sql, (key,)).fetchone() for key in query.keys)
        return dict(row for row in rows if row is not None)

    def below(self, row: int, job: int | None) -> list[int]:
        """Return a row and all rows below it.

        Args:
            row: The row.
            job: The number of the name of its job, None for a job without rows. A row of another job counts as none.
        """
        return [id for (id,) in self._database.execute(_BELOW, (row, job)).fetchall()]

    def forget(self, rows: Sequence[int]) -> None:
        """Remove rows with their replies and records."""
        ids = json.dumps(rows)
        for table, column in (("rows", "id"), ("replies", "row"), ("records", "row")):
            self._database.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))", (ids,))

    def sweep(self) -> int:
        """Remove the kept messages that nothing names, and return how many."""
        sql = "DELETE FROM messages WHERE key NOT IN (SELECT message FROM replies UNION SELECT message FROM records)"
        return self._database.execute(sql).rowcount

    def _progress(self, rows: Iterable[int]) -> None:
        if self._lives.unproven():
            sql = (
                "SELECT DISTINCT name FROM rows JOIN names ON names.id = job "
                "WHERE rows.id IN (SELECT value FROM json_each(?))"
            )
            jobs = self._database.execute(sql, (json.dumps(list(rows)),)).fetchall()
            self._lives.progress({job_subject(job) for (job,) in jobs})

    def _select(self, where: str, *values: Any) -> tuple[Row, ...]:
        rows = self._database.execute(f"{_SELECT} {where}", values).fetchall()
        return tuple([_row(row) for row in rows])


def _row(row: tuple[Any, ...]) -> Row:
    values = list(row)
    values[6] = ROW_STATES.member[row[6]]
    values[10] = _keys(row[10]) if row[10] else ()
    values[11] = bool(row[11])
    return Row(*values)


def _replies(finish: FinishRow) -> list[tuple[Any, ...]]:
    """The rows of replies. The ends of tokens are stored as differences, which mostly take one byte each."""
    return [
        (
            finish.id,
            position,
            reply.message,
            reply.inputs,
            _encode([b - a for a, b in pairwise((0, *reply.tokens))]) if reply.tokens else b"",
            reply.error,
            finish.id,
        )
        for position, reply in enumerate(finish.replies)
    ]
