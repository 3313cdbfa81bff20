"""The rows, replies, records and kept messages of a `MemoryJournal`."""

from collections.abc import Callable, Iterable

import msgspec

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


class MemoryRows:
    """Interactions and what belongs to them.

    Args:
        progress: Called with the job of a row of which something was committed.
    """

    def __init__(self, progress: Callable[[str], None]) -> None:
        self.progress = progress
        self.rows: dict[int, Row] = {}
        self.replies: dict[int, tuple[Reply, ...]] = {}
        self.records: dict[tuple[int, str, bytes, int], Record] = {}
        self.messages: dict[bytes, bytes] = {}

    def start(self, operation: StartRow) -> None:
        """Do `StartRow`."""
        self.rows[operation.id] = Row(
            id=operation.id,
            parent=operation.parent,
            slot=operation.slot,
            number=operation.number,
            job=operation.job,
            agent=operation.agent,
            state=RowState.RUNNING,
            started=operation.started,
            finished=0,
            attempts=1,
            inputs=(),
            is_input_complete=False,
            error=b"",
            at=operation.at,
        )

    def restart(self, operation: RestartRow) -> None:
        """Do `RestartRow`."""
        row = self.rows.get(operation.id)
        if row is not None:
            self.replies.pop(row.id, None)
            self.rows[row.id] = msgspec.structs.replace(
                row,
                state=RowState.RUNNING,
                started=operation.started,
                finished=0,
                attempts=row.attempts + 1,
                inputs=(),
                is_input_complete=False,
                error=b"",
                at=operation.at,
            )

    def note_inputs(self, operation: NoteInputs) -> None:
        """Do `NoteInputs`."""
        row = self.rows.get(operation.id)
        if row is not None:
            self.rows[row.id] = msgspec.structs.replace(
                row, inputs=operation.inputs, is_input_complete=operation.is_complete
            )

    def keep_message(self, operation: KeepMessage) -> None:
        """Do `KeepMessage`."""
        self.messages.setdefault(operation.key, operation.body)

    def finish(self, operation: FinishRow) -> None:
        """Do `FinishRow`."""
        row = self.rows.get(operation.id)
        if row is not None:
            self.rows[row.id] = msgspec.structs.replace(
                row,
                state=operation.state,
                finished=operation.finished,
                error=operation.error,
                at=operation.at,
            )
            self.replies[row.id] = operation.replies
            self.progress(row.job)

    def record(self, operation: Record) -> None:
        """Do `Record`."""
        self.records[operation.row, operation.kind, operation.key, operation.number] = operation
        row = self.rows.get(operation.row)
        if row is not None and operation.value is not None:
            self.progress(row.job)

    def rows_at(self, query: RowsAt) -> tuple[Row, ...]:
        """Answer `RowsAt`."""
        rows = [row for row in self.rows.values() if (row.parent, row.slot) == (query.parent, query.slot)]
        return tuple(sorted(rows, key=lambda row: (row.number, row.id)))

    def children(self, query: Children) -> tuple[Row, ...]:
        """Answer `Children`."""
        return _page((row for row in self.rows.values() if row.parent == query.parent), query)

    def row_of(self, query: RowOf) -> Row | None:
        """Answer `RowOf`."""
        return self.rows.get(query.id)

    def rows_of_job(self, query: RowsOfJob) -> tuple[Row, ...]:
        """Answer `RowsOfJob`."""
        return _page((row for row in self.rows.values() if row.job == query.job), query)

    def answers_of(self, query: Answers) -> dict[int, Answer]:
        """Answer `Answers`."""
        answers: dict[int, Answer] = {}
        size = 0
        for row in sorted(query.rows):
            replies = self.replies.get(row, ())
            bodies = {key: self.messages[key] for reply in replies if (key := reply.message) in self.messages}
            if replies and any(answer.replies for answer in answers.values()) and size >= query.most_bytes:
                break
            answers[row] = Answer(replies, bodies)
            size += sum(map(len, bodies.values()))
        return answers

    def records_of(self, query: Records) -> tuple[Record, ...]:
        """Answer `Records`."""
        return tuple(record for key, record in sorted(self.records.items()) if key[0] == query.row)

    def kept_messages(self, query: KeptMessages) -> dict[bytes, bytes]:
        """Answer `KeptMessages`."""
        return {key: self.messages[key] for key in query.keys if key in self.messages}

    def below(self, row: int) -> list[int]:
        """Return a row and all rows below it."""
        found = [row] if row in self.rows else []
        for id in found:
            found += [child.id for child in self.rows.values() if child.parent == id]
        return found

    def forget(self, row: int) -> None:
        """Remove a row with its replies and records."""
        del self.rows[row]
        self.replies.pop(row, None)
        self.records = {key: record for key, record in self.records.items() if key[0] != row}

    def sweep(self) -> int:
        """Remove the kept messages that nothing names, and return how many."""
        named = {reply.message for replies in self.replies.values() for reply in replies}
        named |= {record.message for record in self.records.values()}
        unnamed = self.messages.keys() - named
        for key in unnamed:
            del self.messages[key]
        return len(unnamed)


def _page(rows: Iterable[Row], query: Children | RowsOfJob) -> tuple[Row, ...]:
    after = sorted((row for row in rows if row.id > query.after), key=lambda row: row.id)
    return tuple(after[: query.limit])
