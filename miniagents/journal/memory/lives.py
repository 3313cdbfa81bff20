"""The deaths, identities and snapshots of a `MemoryJournal`."""

import msgspec

from miniagents.journal.lives import Begin, Deaths, Pardon, Rest
from miniagents.journal.states import Claim, Clear, Save, Snapshot, SnapshotOf


class _Life(msgspec.Struct):
    process: int
    is_busy: bool = True
    has_progressed: bool = False
    deaths: int = 0


class MemoryLives:
    """Which subjects have begun, and how often the process died with each."""

    def __init__(self) -> None:
        self.process = 0
        self.lives: dict[str, _Life] = {}

    def begin(self, operation: Begin) -> int:
        """Do `Begin`."""
        life = self.lives.setdefault(operation.subject, _Life(self.process, is_busy=False))
        if life.is_busy and life.process != self.process:
            life.deaths = 0 if life.has_progressed else life.deaths + 1
        if not life.is_busy or life.process != self.process:
            life.process, life.is_busy, life.has_progressed = self.process, True, False
        return life.deaths

    def rest(self, operation: Rest) -> None:
        """Do `Rest`."""
        if operation.subject in self.lives:
            self.lives[operation.subject].is_busy = False

    def pardon(self, operation: Pardon) -> None:
        """Do `Pardon`."""
        self.lives.pop(operation.subject, None)

    def deaths(self, query: Deaths) -> int:
        """Answer `Deaths`."""
        life = self.lives.get(query.subject)
        return life.deaths if life is not None else 0

    def progress(self, subject: str) -> None:
        """Say that something of a subject was committed."""
        if subject in self.lives:
            self.lives[subject].has_progressed = True
            self.lives[subject].deaths = 0


class MemoryStates:
    """Identities and snapshots."""

    def __init__(self) -> None:
        self.uids: dict[str, int] = {}
        self.snapshots: dict[str, Snapshot] = {}

    def claim(self, operation: Claim) -> int:
        """Do `Claim`."""
        return self.uids.setdefault(operation.path, operation.uid)

    def save(self, operation: Save) -> None:
        """Do `Save`."""
        self.snapshots[operation.snapshot.owner] = operation.snapshot

    def clear(self, operation: Clear) -> None:
        """Do `Clear`."""
        self.snapshots.pop(operation.owner, None)

    def snapshot_of(self, query: SnapshotOf) -> Snapshot | None:
        """Answer `SnapshotOf`."""
        return self.snapshots.get(query.owner)
