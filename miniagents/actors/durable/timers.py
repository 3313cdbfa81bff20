"""The timers of one durable actor: they are in the journal, and go on after the death of the process.

A tick is one transaction: the message is accepted, and the timer is set to its next time, or gone. So each tick comes
once, whatever is killed.
"""

import asyncio
from functools import partial
from typing import Any

from miniagents.actors.cells.timers import Timer, post_tick
from miniagents.actors.durable.rules import Rule, rule_of, text_of
from miniagents.actors.messaging.envelope import Envelope, not_sendable
from miniagents.actors.messaging.mailbox import Overflow
from miniagents.actors.wall_clock import WallTimer
from miniagents.errors import DecodeError, MissingDependencyError
from miniagents.journal.encoding import encoded, kind_of
from miniagents.journal.journal import Journal
from miniagents.journal.operations import Operation
from miniagents.journal.timers import Advance, Schedule, Timers, Unschedule
from miniagents.journal.timers import Timer as StoredTimer
from miniagents.log import log as _log
from miniagents.messages import Message, decode
from miniagents.promising.failures import log_failed


class DurableTimer(Timer):
    """A timer of a durable actor, as a program holds it.

    Args:
        timers: Those of the actor.
        stored: The timer as it stands in the journal.
        message: The message.
        rule: When it is due.
    """

    __slots__ = ("_actor", "_all", "_due_at", "_rule", "_wall_timer", "stored")

    _actor: Any  # its cell, with what only the cell of an actor has

    def __init__(self, timers: "JournalTimers", stored: StoredTimer, message: Message, rule: Rule) -> None:
        self._all = timers
        self._cell = self._actor = timers.cell
        self._message = message
        self._rule = rule
        self._tick = None
        self._sending = None
        self._handle = None
        self._wall_timer: WallTimer | None = None
        self._due_at = stored.due_at
        self.stored = stored

    def set(self, due_at: float) -> None:
        """Let it be due at a time of day."""
        self._due_at = due_at
        self._wall_timer = self._actor.system.wall_clock.call_at(due_at, self._come)

    def cancel(self) -> None:
        """No more messages, and one that waits already is thrown away; cancelling again is harmless."""
        self.rest()
        if self.waits and self._tick is not None:
            self._actor.withdraw(self._tick)
        self._tick = None
        self._all.cancelled(self)

    def rest(self) -> None:
        """Go on only in the journal: the actor has ended."""
        if self._wall_timer is not None:
            self._wall_timer.cancel()
            self._wall_timer = None
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _come(self) -> None:
        """It is due."""
        self._wall_timer = None
        if self._actor.stopping is not None:
            return  # it stays as it is in the journal, for the next actor of that path
        now, due_at = self._actor.system.wall_clock.time(), self._due_at
        after = self._all.after_tick(self, self._rule.next_after(due_at, now))
        in_hand = self._tick is not None and self._actor.current is self._tick
        if self.is_due or in_hand or not self._rule.runs_late(due_at, now):
            self._all.write(after)
        elif self._actor.is_full() and self._actor.props.options.mailbox.overflow is Overflow.BACKPRESSURE:
            self._sending = self._actor.create_task(self._send_later(after))
        else:
            self._post(after)

    async def _send_later(self, after: Operation[Any]) -> None:
        await self._actor.room()
        self._sending = None
        self._post(after)

    def _post(self, after: Operation[Any]) -> None:
        tick = self._tick = Envelope(self._message, self._actor.ref, at=self._actor.system.time())
        self._all.ticks[tick] = after
        post_tick(self._actor, tick)
        if self._all.ticks.pop(tick, None) is not None:
            self._all.write(after)  # the tick was refused, and the timer goes on


class JournalTimers:
    """The timers of one durable actor.

    Args:
        cell: The cell of the actor.
        journal: The journal.

    Attributes:
        cell: As above.
        ticks: What is written together with a message of a timer, while that is being posted.
    """

    def __init__(self, cell: Any, journal: Journal) -> None:
        self.cell = cell
        self.ticks: dict[Any, Operation[Any]] = {}
        self._journal = journal
        self._log_unwritten = partial(log_failed, "timer.not_written", actor=cell.path)
        self._timers: dict[str, DurableTimer] = {}
        self._has_instance = False
        self._has_ended = False

    def query(self) -> Timers:
        """Ask for the timers in the journal."""
        return Timers(self.cell.path)

    def recover(self, stored: tuple[StoredTimer, ...]) -> None:
        """Take the timers that were in the journal. Those that are due come as soon as the loop turns.

        A timer that this process cannot follow is skipped, and stays in the journal: its message is of another program,
        or its cron rule needs `cronsim` or a time zone that is missing here.
        """
        now = self.cell.system.wall_clock.time()
        for one in stored:
            try:
                rule = rule_of(one.rule)
                rule.next_after(one.due_at, now)
                timer = DurableTimer(self, one, decode(one.body), rule)
            except (DecodeError, ValueError, MissingDependencyError) as error:
                _log.error("timer.undecodable", actor=self.cell.path, name=one.name, kind=one.kind, error=str(error))
                continue
            self._timers[one.name] = timer
            timer.set(one.due_at)

    def start(self, rule: Rule, message: Message, name: str | None) -> DurableTimer:
        """Make a timer, or return the one that is the same.

        Args:
            rule: When it is due.
            message: The message.
            name: Its name, once for each actor; None for one made of message and rule.

        Raises:
            InvalidOptionError: No time fits the rule.
            NotSendableError: `message` is no `Message`.
            MessageTooLargeError: The message is too large for the journal.
        """
        path = self.cell.path
        if not isinstance(message, Message):
            raise not_sendable(path, message)
        text, body = text_of(rule), encoded(message, self._journal.max_message_bytes)
        if name is None:
            name = f"{kind_of(message)} {message.content_key[:16]} {text}"
        old = self._timers.get(name)
        if old is not None:
            if (old.stored.rule, old.stored.body) == (text, body):
                return old
            old.rest()
        due_at = rule.first_after(self.cell.system.wall_clock.time())
        timer = DurableTimer(self, StoredTimer(path, name, text, due_at, body, kind_of(message)), message, rule)
        self._timers[name] = timer
        self._journal.write(Schedule(timer.stored)).add_done_callback(partial(self._scheduled, timer))
        return timer

    def _scheduled(self, timer: DurableTimer, written: "asyncio.Future[StoredTimer]") -> None:
        self._log_unwritten(written)
        if written.exception() is not None:
            if self._timers.get(timer.stored.name) is timer:
                del self._timers[timer.stored.name]
        elif self._timers.get(timer.stored.name) is timer and not self._has_ended:
            timer.set(written.result().due_at)

    def after_tick(self, timer: DurableTimer, due_at: float | None) -> Operation[Any]:
        """Set a timer to its next time, and return what writes that down."""
        path, name = self.cell.path, timer.stored.name
        if due_at is None:
            del self._timers[name]
            return Unschedule(path, name)
        timer.set(due_at)
        return Advance(path, name, due_at)

    def cancelled(self, timer: DurableTimer) -> None:
        """A program has cancelled a timer."""
        name = timer.stored.name
        if self._timers.get(name) is timer:
            del self._timers[name]
            self.write(Unschedule(self.cell.path, name))

    def write(self, operation: Operation[Any]) -> None:
        """Write something that nobody waits for."""
        self._journal.write(operation).add_done_callback(self._log_unwritten)

    def new_instance(self) -> None:
        """A fresh instance begins. The restart of an actor cancels its timers, as it does in memory."""
        if self._has_instance and self._timers:
            _log.warning("timer.cancelled_by_restart", actor=self.cell.path, names=sorted(self._timers))
            for timer in tuple(self._timers.values()):
                timer.cancel()
        self._has_instance = True

    def close(self) -> None:
        """The actor has ended: its timers go on in the journal only."""
        self._has_ended = True
        for timer in self._timers.values():
            timer.rest()
        self._timers.clear()
