"""Interactions in the journal: one row for each, with its replies, and with records of what it has paid for.

A row is found by (parent row, slot); several rows there are told apart by their numbers and inputs. What an interaction
asks of a model, a tool, the clock or chance is a record of its row.
"""

import enum
import time

import msgspec

from miniagents.journal.operations import Operation, Query


class RowState(enum.Enum):
    """How far an interaction is."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Row(msgspec.Struct, frozen=True):
    """An interaction.

    Attributes:
        id: Its number, from `next_id`.
        parent: The row of the parent, or 0 for a root.
        slot: The hash of all that is equal in calls that may be the same one.
        number: The number of the call in its slot, in the order in which the calls start.
        job: The name of the job, or "" for none.
        agent: The name of the agent, for people.
        state: How far it is.
        started: The number of its last start, from `next_id`.
        finished: The number of its end, from `next_id`; 0 before that. Replays follow this order.
        attempts: How many times it has started.
        inputs: The content keys of its input messages, as far as they are known.
        is_input_complete: Whether `inputs` are all.
        error: The encoded error of a row that failed, else b"".
        at: When it started last, or ended, in seconds since the epoch.
    """

    id: int
    parent: int
    slot: bytes
    number: int
    job: str
    agent: str
    state: RowState
    started: int
    finished: int
    attempts: int
    inputs: tuple[bytes, ...]
    is_input_complete: bool
    error: bytes
    at: float


class Reply(msgspec.Struct, frozen=True):
    """A reply of an interaction.

    Attributes:
        message: The key of the message, which `KeepMessage` has kept.
        inputs: How many input messages were complete when the reply settled; -1 if the input had ended.
        tokens: Where the tokens end, as offsets in characters; () for a message that did not stream.
        error: The encoded error of a reply that is an exception, whose `message` is then b"".
    """

    message: bytes
    inputs: int
    tokens: tuple[int, ...] = ()
    error: bytes = b""


class Answer(msgspec.Struct, frozen=True):
    """The replies of an interaction, with their messages.

    Attributes:
        replies: The replies, in their order.
        bodies: The bodies of the messages by their keys. A message that is not there is left out.
    """

    replies: tuple[Reply, ...] = ()
    bodies: dict[bytes, bytes] = {}


class StartRow(Operation[None], frozen=True):
    """Start an interaction that has no row yet; the attributes are those of a `Row`.

    The row is `RUNNING`, with one attempt and without inputs.
    """

    id: int
    parent: int
    slot: bytes
    number: int
    job: str
    agent: str
    started: int
    at: float = msgspec.field(default_factory=time.time)


class RestartRow(Operation[None], frozen=True):
    """Start the interaction of a row again: one more attempt, with a fresh start.

    Inputs, replies and error are gone; records stay, since they are paid for.
    """

    id: int
    started: int
    at: float = msgspec.field(default_factory=time.time)


class NoteInputs(Operation[None], frozen=True):
    """Note the content keys of the input messages of a row, in place of those that were noted before."""

    id: int
    inputs: tuple[bytes, ...]
    is_complete: bool


class KeepMessage(Operation[None], frozen=True):
    """Keep a message under its key; one that is kept already is not written again.

    A message that neither a reply nor a record names is removed by `Expire`, so name it in the same write.
    """

    key: bytes
    body: bytes


class FinishRow(Operation[None], frozen=True):
    """End the interaction of a row. For a row that is not there nothing happens.

    Args:
        id: The row.
        state: How it has ended: not `RUNNING`.
        finished: The number of its end, from `next_id`.
        replies: Its replies, in their order.
        error: The encoded error, or b"".
        at: When, in seconds since the epoch.
    """

    id: int
    state: RowState
    finished: int
    replies: tuple[Reply, ...] = ()
    error: bytes = b""
    at: float = msgspec.field(default_factory=time.time)


class Record(Operation[None], frozen=True):
    """Record something that an interaction has paid for, in place of an earlier record of the same key.

    Args:
        row: The row of the interaction.
        kind: What it is: "model", "tool", "once", "now", "random", "sleep", or another word.
        key: Its key: the hash of a request, the id of a tool call, the user's key.
        number: Tells equal keys of one row apart.
        value: The result; None if it was started and has none.
        message: The key of a message that belongs to the result, which `KeepMessage` has kept, or b"".
    """

    row: int
    kind: str
    key: bytes
    number: int = 0
    value: bytes | None = None
    message: bytes = b""


class RowsAt(Query[tuple[Row, ...]], frozen=True):
    """The rows of a slot under a parent, in the order of their numbers, equal numbers in the order of their ids."""

    parent: int
    slot: bytes


class Children(Query[tuple[Row, ...]], frozen=True):
    """The rows below a parent, in the order of their ids: those above `after`, `limit` at most."""

    parent: int
    after: int = 0
    limit: int = 1000


class RowOf(Query[Row | None], frozen=True):
    """A row, or None."""

    id: int


class RowsOfJob(Query[tuple[Row, ...]], frozen=True):
    """The rows of a job in the order of their ids: those above `after`, `limit` at most."""

    job: str
    after: int = 0
    limit: int = 1000


class Answers(Query[dict[int, Answer]], frozen=True):
    """The answers of rows, so that a replay reads many at a time.

    Those of the lowest rows come first, and no more follow once their messages have `most_bytes` bytes. So the answer
    of the lowest row is always there, and what is left out can be asked for again. A row without replies, or one that
    is not there, has an empty answer.
    """

    rows: tuple[int, ...]
    most_bytes: int = 1_000_000


class Records(Query[tuple[Record, ...]], frozen=True):
    """The records of a row, sorted by kind, key and number."""

    row: int


class KeptMessages(Query[dict[bytes, bytes]], frozen=True):
    """The bodies of kept messages by their keys. A key that is not there is left out."""

    keys: tuple[bytes, ...]
