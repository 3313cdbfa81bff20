"""The mailboxes of a `SqliteJournal`."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from miniagents.journal.lives import mailbox_subject
from miniagents.journal.mail import (
    Accept,
    Acceptance,
    Bury,
    CountAttempt,
    Drop,
    Handle,
    Letters,
    Mailboxes,
    Resend,
    Standing,
    StandingOf,
    StoredEnvelope,
    StoredLetter,
    Unacknowledged,
)
from miniagents.journal.sqlite.codes import STANDINGS
from miniagents.journal.sqlite.inserting import Insert
from miniagents.journal.sqlite.lives import SqliteLives
from miniagents.journal.sqlite.names import Names

_COLUMNS = "number, receivers.name, body, kinds.name, message_id, meta, attempts, at"
_insert = Insert("INSERT INTO envelopes VALUES", "?, ?, ?, ?, ?, ?, 0, ?")
_insert_plain = Insert("INSERT INTO envelopes VALUES", "?, ?, ?, ?, NULL, x'', 0, ?")  # what most envelopes are
_NAMES = "JOIN names AS receivers ON receivers.id = receiver JOIN names AS kinds ON kinds.id = kind"


class SqliteMail:
    """Envelopes, message ids and dead letters.

    Args:
        database: The connection, in the thread of the journal.
        names: The table of names.
        lives: Where progress is noted.
    """

    def __init__(self, database: sqlite3.Connection, names: Names, lives: SqliteLives) -> None:
        self._database = database
        self._names = names
        self._lives = lives

    def accept(self, operations: Sequence[Accept]) -> list[Acceptance]:
        """Do several `Accept`."""
        number = self._names.number
        plain: list[Any] = []
        others: list[Any] = []
        results = []
        for each in operations:
            receiver = number(each.receiver)
            if each.message_id is not None:
                known = self._accept_id(each, receiver)
                if known is not None:
                    results.append(known)
                    continue
            if each.message_id is None and not each.meta:
                plain += (each.number, receiver, each.body, number(each.kind), each.at)
            else:
                kind = number(each.kind)
                others += (each.number, receiver, each.body, kind, each.message_id, each.meta, each.at)
            results.append(Acceptance(Standing.NEW, each.number))
        _insert_plain(self._database, plain)
        _insert(self._database, others)
        return results

    def count_attempt(self, operation: CountAttempt) -> None:
        """Do `CountAttempt`."""
        self._database.execute("UPDATE envelopes SET attempts = attempts + 1 WHERE number = ?", (operation.number,))

    def handle(self, operations: Sequence[Handle]) -> None:
        """Do several `Handle`."""
        numbers = {operation.number: operation for operation in reversed(operations)}  # the first one counts
        # One statement for all, in which SQLite runs without the lock of the interpreter.
        sql = (
            "DELETE FROM envelopes WHERE number IN (SELECT value FROM json_each(?)) "
            "RETURNING number, receiver, message_id"
        )
        handled = self._database.execute(sql, (json.dumps(list(numbers)),)).fetchall()
        self._remember(
            Standing.HANDLED,
            [(row, numbers[row[0]].outcome, numbers[row[0]].at) for row in handled if row[2] is not None],
        )
        if self._lives.unproven():
            self._lives.progress({mailbox_subject(numbers[number].receiver) for number, *_ in handled})

    def bury(self, operation: Bury) -> None:
        """Do `Bury`."""
        sql = (
            "INSERT INTO letters SELECT number, receiver, body, kind, message_id, meta, coalesce(?, attempts), at, "
            "?, ?, ? FROM envelopes WHERE number = ?"
        )
        buried = (operation.attempts, operation.reason, operation.error, operation.at, operation.number)
        if self._database.execute(sql, buried).rowcount:
            sql = "DELETE FROM envelopes WHERE number = ? RETURNING number, receiver, message_id"
            (row,) = self._database.execute(sql, (operation.number,)).fetchall()
            self._remember(Standing.DEAD, [(row, b"", operation.at)])
            self._lives.progress({mailbox_subject(operation.receiver)})

    def resend(self, operation: Resend) -> bool:
        """Do `Resend`."""
        sql = (
            "INSERT INTO envelopes SELECT ?, receiver, body, kind, message_id, meta, 0, at FROM letters "
            "WHERE number = ?"
        )
        if not self._database.execute(sql, (operation.number, operation.letter)).rowcount:
            return False
        sql = "DELETE FROM letters WHERE number = ? RETURNING ?, receiver, message_id, buried_at"
        (row,) = self._database.execute(sql, (operation.letter, operation.number)).fetchall()
        self._remember(Standing.WAITING, [(row[:3], b"", row[3])])
        return True

    def drop(self, operation: Drop) -> bool:
        """Do `Drop`."""
        sql = "DELETE FROM letters WHERE number = ? RETURNING number, receiver, message_id"
        dropped = self._database.execute(sql, (operation.letter,)).fetchall()
        self._remember(Standing.DROPPED, [(row, b"", operation.at) for row in dropped])
        return bool(dropped)

    def unacknowledged(self, query: Unacknowledged) -> tuple[StoredEnvelope, ...]:
        """Answer `Unacknowledged`."""
        # The names are looked up once, and not joined to every row.
        receiver = self._names.known(query.receiver)
        sql = (
            "SELECT number, body, kinds.name, message_id, meta, attempts, at FROM envelopes "
            "JOIN names AS kinds ON kinds.id = kind WHERE receiver = ? AND number > ? ORDER BY number LIMIT ?"
        )
        rows = self._database.execute(sql, (receiver, query.after, query.limit)).fetchall()
        return tuple([StoredEnvelope(row[0], query.receiver, *row[1:]) for row in rows])

    def mailboxes(self, _: Mailboxes) -> tuple[tuple[str, int], ...]:
        """Answer `Mailboxes`."""
        sql = (
            "SELECT name, waiting FROM (SELECT receiver, count(*) AS waiting FROM envelopes GROUP BY receiver) "
            "JOIN names ON names.id = receiver ORDER BY name"
        )
        return tuple(self._database.execute(sql).fetchall())

    def standing_of(self, query: StandingOf) -> Acceptance | None:
        """Answer `StandingOf`."""
        known = self._known_id(self._names.known(query.receiver), query.message_id)
        return known[1] if known is not None else None

    def letters_of(self, query: Letters) -> tuple[StoredLetter, ...]:
        """Answer `Letters`."""
        sql = f"SELECT {_COLUMNS}, reason, error, buried_at FROM letters {_NAMES} WHERE number > ?"
        values: list[Any] = [query.after]
        if query.receiver is not None:
            sql += " AND receiver = ?"
            values.append(self._names.known(query.receiver))
        rows = self._database.execute(f"{sql} ORDER BY number LIMIT ?", (*values, query.limit)).fetchall()
        return tuple(StoredLetter(StoredEnvelope(*row[:8]), *row[8:]) for row in rows)

    def forget_ids(self, before: float) -> int:
        """Forget the ids of messages that were handled, or are dead and dropped, before a time."""
        sql = "DELETE FROM message_ids WHERE at < ? AND standing IN (?, ?)"
        codes = STANDINGS.of[Standing.HANDLED], STANDINGS.of[Standing.DROPPED]
        return self._database.execute(sql, (before, *codes)).rowcount

    def _accept_id(self, accept: Accept, receiver: int) -> Acceptance | None:
        """Enter a message id. Return what is known of it, or None if it is new."""
        known = self._known_id(receiver, accept.message_id)
        if known is not None:
            content_key, acceptance = known
            is_same = content_key == accept.content_key
            return acceptance if is_same else Acceptance(Standing.CONFLICT, acceptance.number)
        standing = STANDINGS.of[Standing.WAITING]
        row = (receiver, accept.message_id, accept.content_key, standing, accept.number, b"", accept.at)
        self._database.execute("INSERT INTO message_ids VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return None

    def _known_id(self, receiver: int | None, message_id: str | None) -> tuple[bytes, Acceptance] | None:
        sql = "SELECT content_key, standing, number, outcome FROM message_ids WHERE receiver = ? AND message_id = ?"
        row = self._database.execute(sql, (receiver, message_id)).fetchone()
        return (row[0], Acceptance(STANDINGS.member[row[1]], row[2], row[3])) if row is not None else None

    def _remember(self, standing: Standing, envelopes: Sequence[tuple[tuple[Any, ...], bytes, float]]) -> None:
        """Set the standing of the message ids of envelopes (number, receiver, message id), with outcome and time."""
        code = STANDINGS.of[standing]
        rows = [(code, number, outcome, at, receiver, id) for (number, receiver, id), outcome, at in envelopes]
        sql = (
            "UPDATE message_ids SET standing = ?, number = ?, outcome = ?, at = ? WHERE receiver = ? AND message_id = ?"
        )
        if rows:
            self._database.executemany(sql, rows)
