"""The waits and early answers of a `SqliteJournal`."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from miniagents.journal.sqlite.codes import WAIT_STATES
from miniagents.journal.waits import (
    WITH_ANSWER,
    ConsumeAnswer,
    Deliver,
    Delivered,
    Delivery,
    EndWait,
    GivenAnswer,
    OpenWait,
    ReleaseWaits,
    Wait,
    WaitId,
    Waits,
    WaitState,
    refused_by_ended,
)

_BY_ID = "job = ? AND row = ? AND name = ? AND number = ?"


class SqliteWaits:
    """Waits by their ids, and answers that came before their waits.

    Args:
        database: The connection, in the thread of the journal.
        takes_answers: Returns whether a job can be answered, or None if there is none of this name.
        progress: Called with the job of a wait that was consumed.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        takes_answers: Callable[[str], bool | None],
        progress: Callable[[str], None],
    ) -> None:
        self._database = database
        self._takes_answers = takes_answers
        self._progress = progress

    def open(self, operation: OpenWait) -> Wait:
        """Do `OpenWait`."""
        wait = self._find(operation.wait.id)
        if wait is None:
            wait = msgspec.structs.replace(operation.wait, state=WaitState.WAITING, answer=None)
        elif wait.state is WaitState.CLOSED:
            wait = msgspec.structs.replace(wait, state=WaitState.WAITING)
        if wait.state is WaitState.WAITING:
            sql = (
                "DELETE FROM early_answers WHERE id = (SELECT min(id) FROM early_answers WHERE job = ? AND name = ?) "
                "RETURNING answer, answer_kind, answered_by, answered_at"
            )
            early = self._database.execute(sql, (wait.id.job, wait.id.name)).fetchall()
            if early:
                wait = msgspec.structs.replace(wait, state=WaitState.ANSWERED, answer=GivenAnswer(*early[0]))
        return self._put(wait)

    def deliver(self, operation: Deliver) -> Delivered:
        """Do `Deliver`."""
        is_open = self._takes_answers(operation.job)
        if is_open is None:
            return Delivered(Delivery.UNKNOWN)
        if isinstance(operation.target, WaitId):
            wait = self._find(operation.target) if operation.target.job == operation.job else None
            if not is_open:
                return refused_by_ended((wait,) if wait is not None else ())
            return self._answer(wait, operation) if wait is not None else Delivered(Delivery.UNKNOWN)
        job, name = operation.job, operation.target
        named = self._select("WHERE job = ? AND name = ? ORDER BY row, number", job, name)
        if not is_open:
            return refused_by_ended(named)
        waiting = [wait for wait in named if wait.state is WaitState.WAITING]
        if len(waiting) > 1:
            return Delivered(Delivery.AMBIGUOUS, tuple(waiting))
        if waiting:
            return self._answer(waiting[0], operation)
        answered = tuple(wait for wait in named if wait.state in WITH_ANSWER) or self._early(job, name)
        if answered:
            return Delivered(Delivery.TAKEN, answered)
        self._keep(job, name, operation.answer)
        return Delivered(Delivery.KEPT)

    def consume(self, operation: ConsumeAnswer) -> bool:
        """Do `ConsumeAnswer`."""
        sql = f"UPDATE waits SET state = ? WHERE {_BY_ID} AND state = ?"
        consumed, answered = WAIT_STATES.of[WaitState.CONSUMED], WAIT_STATES.of[WaitState.ANSWERED]
        values = (consumed, *msgspec.structs.astuple(operation.id), answered)
        is_done = bool(self._database.execute(sql, values).rowcount)
        if is_done:
            self._progress(operation.id.job)
        return is_done

    def end(self, operation: EndWait) -> Wait | None:
        """Do `EndWait`."""
        wait = self._find(operation.id)
        if wait is not None and wait.state is WaitState.WAITING:
            wait = self._put(msgspec.structs.replace(wait, state=operation.state))
        return wait

    def waits_of(self, query: Waits) -> tuple[Wait, ...]:
        """Answer `Waits`."""
        states = [WAIT_STATES.of[state] for state in query.states]
        where = f"WHERE state IN ({', '.join('?' * len(states))})"
        values: list[Any] = [*states]
        if query.job is not None:
            where += " AND job = ?"
            values.append(query.job)
        return tuple(self._select(f"{where} ORDER BY since, job, row, name, number", *values))

    def close_of_job(self, job: str) -> None:
        """Close the open waits of a job that has ended."""
        sql = "UPDATE waits SET state = ? WHERE job = ? AND state = ?"
        closed, waiting = WAIT_STATES.of[WaitState.CLOSED], WAIT_STATES.of[WaitState.WAITING]
        self._database.execute(sql, (closed, job, waiting))

    def release(self, operation: ReleaseWaits) -> None:
        """Do `ReleaseWaits`."""
        self.forget(operation.job, [operation.row], keep_answers=True)

    def forget(self, job: str, rows: Iterable[int], keep_answers: bool) -> None:
        """Remove the waits of rows; their answers may be kept for the waits that come in their place."""
        for row in sorted(rows):
            for wait in self._select("WHERE job = ? AND row = ? ORDER BY name, number", job, row):
                if keep_answers and wait.answer is not None:
                    self._keep(job, wait.id.name, wait.answer)
            self._database.execute("DELETE FROM waits WHERE job = ? AND row = ?", (job, row))

    def forget_early(self, job: str) -> None:
        """Remove the answers that were given early to a job."""
        self._database.execute("DELETE FROM early_answers WHERE job = ?", (job,))

    def _answer(self, wait: Wait, operation: Deliver) -> Delivered:
        if wait.state in WITH_ANSWER:
            return Delivered(Delivery.TAKEN, (wait,))
        if wait.state is not WaitState.WAITING:
            return Delivered(Delivery.ENDED, (wait,))
        if wait.kind and wait.kind not in operation.kinds:
            return Delivered(Delivery.WRONG_KIND, (wait,))
        answered = msgspec.structs.replace(wait, state=WaitState.ANSWERED, answer=operation.answer)
        return Delivered(Delivery.DELIVERED, (self._put(answered),))

    def _early(self, job: str, name: str) -> tuple[Wait, ...]:
        sql = (
            "SELECT answer, answer_kind, answered_by, answered_at FROM early_answers WHERE job = ? AND name = ? "
            "ORDER BY id"
        )
        answers = [GivenAnswer(*row) for row in self._database.execute(sql, (job, name)).fetchall()]
        return tuple(Wait(WaitId(job, 0, name), since=answer.at, answer=answer) for answer in answers)

    def _keep(self, job: str, name: str, answer: GivenAnswer) -> None:
        sql = "INSERT INTO early_answers VALUES (NULL, ?, ?, ?, ?, ?, ?)"
        self._database.execute(sql, (job, name, *msgspec.structs.astuple(answer)))

    def _find(self, id: WaitId) -> Wait | None:
        return next(iter(self._select(f"WHERE {_BY_ID}", *msgspec.structs.astuple(id))), None)

    def _select(self, where: str, *values: Any) -> Sequence[Wait]:
        rows = self._database.execute(f"SELECT * FROM waits {where}", values).fetchall()
        return [_wait(row) for row in rows]

    def _put(self, wait: Wait) -> Wait:
        answer = msgspec.structs.astuple(wait.answer) if wait.answer is not None else (None,) * 4
        row = (
            *msgspec.structs.astuple(wait.id),
            wait.agent,
            wait.prompt,
            wait.kind,
            wait.due_at,
            wait.since,
            WAIT_STATES.of[wait.state],
            *answer,
            wait.owner,
        )
        self._database.execute(f"INSERT OR REPLACE INTO waits VALUES ({', '.join('?' * len(row))})", row)
        return wait


def _wait(row: tuple[Any, ...]) -> Wait:
    id, state = WaitId(*row[:4]), WAIT_STATES.member[row[9]]
    answer = GivenAnswer(*row[10:14]) if row[10] is not None else None
    agent, prompt, kind, due_at, since = row[4:9]
    return Wait(id, agent, prompt, kind, due_at, since, state, answer, row[14])
