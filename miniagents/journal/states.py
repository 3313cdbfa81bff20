"""What a durable actor keeps besides its mail: its identity, and a snapshot of its state."""

import time

import msgspec

from miniagents.journal.operations import Operation, Query


class Claim(Operation[int], frozen=True):
    """Give a path its uid. The result is the uid that the path was given first, which outlives the process."""

    path: str
    uid: int


class Snapshot(msgspec.Struct, frozen=True):
    """The state of an actor or of a class agent.

    Attributes:
        owner: The path of the actor.
        state: The encoded state.
        kind: The name of the state's type.
        at: When it was saved, in seconds since the epoch.
    """

    owner: str
    state: bytes
    kind: str = ""
    at: float = msgspec.field(default_factory=time.time)


class Save(Operation[None], frozen=True):
    """Save a snapshot in place of the owner's last one.

    `write(Handle(...), Save(...))` saves the state together with the acknowledgement of the message that led to it.
    """

    snapshot: Snapshot


class Clear(Operation[None], frozen=True):
    """Remove the snapshot of an owner."""

    owner: str


class SnapshotOf(Query[Snapshot | None], frozen=True):
    """The snapshot of an owner, or None."""

    owner: str
