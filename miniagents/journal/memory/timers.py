"""The timers of a `MemoryJournal`."""

import msgspec

from miniagents.journal.timers import Advance, Schedule, Timer, Timers, Unschedule


class MemoryTimers:
    """Timers by actor and name."""

    def __init__(self) -> None:
        self.timers: dict[tuple[str, str], Timer] = {}

    def schedule(self, operation: Schedule) -> Timer:
        """Do `Schedule`."""
        new = operation.timer
        old = self.timers.get((new.actor, new.name))
        if old is not None and (old.rule, old.body) == (new.rule, new.body):
            return old
        self.timers[new.actor, new.name] = new
        return new

    def advance(self, operation: Advance) -> None:
        """Do `Advance`."""
        timer = self.timers.get((operation.actor, operation.name))
        if timer is not None:
            self.timers[timer.actor, timer.name] = msgspec.structs.replace(timer, due_at=operation.due_at)

    def unschedule(self, operation: Unschedule) -> None:
        """Do `Unschedule`."""
        for actor, name in list(self.timers):
            if actor == operation.actor and operation.name in (None, name):
                del self.timers[actor, name]

    def timers_of(self, query: Timers) -> tuple[Timer, ...]:
        """Answer `Timers`."""
        timers = [timer for timer in self.timers.values() if query.actor in (None, timer.actor)]
        return tuple(sorted(timers, key=lambda timer: (timer.due_at, timer.actor, timer.name)))
