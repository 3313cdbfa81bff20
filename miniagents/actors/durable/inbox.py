"""`JournalInbox`: the mailbox of one durable actor in a journal."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from miniagents.actors.durable.group_commit import GroupCommit
from miniagents.actors.durable.outcomes import decode_outcome, encode_outcome
from miniagents.actors.durable.rules import Cron, Every, Once
from miniagents.actors.durable.state import KeptState
from miniagents.actors.durable.timers import DurableTimer, JournalTimers
from miniagents.actors.messaging.ask import Ask, follow
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.entries import Enveloped
from miniagents.actors.messaging.envelope import Envelope
from miniagents.actors.messaging.outcome import Outcome
from miniagents.errors import (
    ActorStoppedError,
    DecodeError,
    DroppedError,
    MessageDeadError,
    MessageIdConflictError,
    NodeLostError,
)
from miniagents.journal.encoding import encoded, kind_of, waiting_mail
from miniagents.journal.journal import Journal
from miniagents.journal.lives import Begin, Rest, mailbox_subject
from miniagents.journal.mail import Accept, Acceptance, Bury, CountAttempt, Handle, Standing, StoredEnvelope
from miniagents.journal.operations import Operation
from miniagents.log import log as _log
from miniagents.messages import Message, error_text
from miniagents.promising.failures import log_failed

MOST_DEATHS = 3
"""How many times in a row the process may die with the same message in hand, before that is a dead letter."""

DEADLY = "deadly"
"""The reason of a dead letter that was in hand each time when the process died."""

_meta = msgspec.msgpack.Encoder()


class JournalInbox:
    """The mailbox of one durable actor in a journal; see `miniagents.actors.cells.cell_ports.Inbox`.

    An entry with a message id is an `Ask` that the mailbox has made itself: whoever asked follows it, also if the
    message was sent twice, and may leave without ending it.

    Args:
        cell: The cell of the actor.
        kind: The class of the actor.
        journal: The journal.
        group: Writes what is accepted, together with what the other mailboxes of the system accept.
        closed: Called with the inbox when the actor has ended.
    """

    def __init__(
        self, cell: Any, kind: type, journal: Journal, group: GroupCommit, closed: "Callable[[JournalInbox], None]"
    ) -> None:
        self.path: str = cell.path
        self._cell = cell
        self._journal = journal
        self._log_unwritten = partial(log_failed, "mailbox.not_acknowledged", actor=cell.path)
        self._group = group
        self._closed = closed
        self._state = KeptState(self.path, kind)
        self.timers = JournalTimers(cell, journal)
        self._numbers: dict[Any, int] = {}  # of the entries that are being written, wait, or are in hand
        self._ids: dict[Any, str] = {}
        self._accepted: dict[Any, asyncio.Future[None]] = {}
        self._by_id: dict[str, Ask[Any]] = {}  # until the outcome is on disk
        self._attempts: dict[Any, int] = {}
        self._unhandled: set[Any] = set()  # of the entries in hand: no case took them
        self._unwritten: tuple[Operation[Any], ...] = ()  # acknowledgements that could not be written
        self._postponed: list[Callable[[], None]] | None = []  # None once the actor has recovered
        self._has_begun = False
        self._own: set[int] | None = set()  # the numbers of what was posted to it; None once it has recovered
        self._read: set[int] = set()  # the numbers of what it has recovered, of those that are not lower than the first
        self._first = journal.next_id()  # lower numbers were given out before this actor came, by this process

    # The start

    async def recover(self) -> Sequence[Enveloped]:
        """Read what the journal has kept for the actor; see `Inbox.recover`."""
        saved, timers = self._journal.read(self._state.query()), self._journal.read(self.timers.query())
        at = self._cell.system.time()
        entries: list[Enveloped] = []
        async for envelope, message in waiting_mail(self._journal, self.path):
            if self._own is None or envelope.number not in self._own:
                if envelope.number >= self._first:
                    self._read.add(envelope.number)
                entries.append(self._entry_of(envelope, message, at))  # here, so that the loop goes on between pages
        self._state.keep(await saved)
        stored_timers = await timers
        if entries and not self._has_begun:
            begun = self._journal.write(Begin(mailbox_subject(self.path)))
            self._begin(begun)
            deaths = await begun
            if deaths >= MOST_DEATHS:
                await self._bury_deadly(entries, deaths)
        self._own = None
        self._end_postponing()
        self.timers.recover(stored_timers)
        return entries

    def _end_postponing(self) -> None:
        postponed, self._postponed = self._postponed, None
        for look_again in postponed or ():
            look_again()

    async def _bury_deadly(self, entries: list[Enveloped], deaths: int) -> None:
        """Bury the message that would be in hand next: the process has died with it too often."""
        priority: Any = self._cell.props.options.mailbox.priority
        entry = entries[0] if priority is None else min(entries, key=lambda one: priority(one.message))
        number = self._numbers[entry]
        error = f"the process died {deaths} times in a row while this message was in hand"
        await self._journal.write(Bury(self.path, number, DEADLY, error))
        entries.remove(entry)
        self._drop(entry)
        _log.error("mailbox.deadly_message", actor=self.path, number=number, deaths=deaths)

    def take_resent(self, mail: StoredEnvelope, message: Message) -> None:
        """Deliver a dead letter that was sent again, unless the start of the actor reads it."""
        if mail.number >= self._first and mail.number not in self._read:
            if self._own is not None:
                self._own.add(mail.number)
            self._cell.deliver_behind(self._entry_of(mail, message, self._cell.system.time()))

    def _entry_of(self, envelope: StoredEnvelope, message: Message, at: float) -> Enveloped:
        trace = msgspec.msgpack.decode(envelope.meta) if envelope.meta else None
        entry: Enveloped
        if envelope.message_id is None:
            entry = Envelope(message, trace=trace, at=at, crashes=envelope.attempts)
        else:
            entry = Ask(self._cell, message, trace=trace, at=at)
            entry.crashes = envelope.attempts
            entry.mark_seen()
            self._ids[entry] = envelope.message_id
            self._by_id[envelope.message_id] = entry
        if envelope.attempts:
            self._attempts[entry] = envelope.attempts
        self._numbers[entry] = envelope.number
        return entry

    def restore(self, instance: Any) -> None:
        """Give a fresh instance the state that was saved last; see `Inbox.restore`."""
        self.timers.new_instance()
        self._state.restore(instance)

    # Timers

    def schedule(self, delay: float, message: Message, name: str | None, *, repeats: bool) -> DurableTimer:
        """Make a timer; see `Inbox.schedule`."""
        return self.timers.start(Every(delay) if repeats else Once(delay), message, name)

    def schedule_cron(
        self, rule: str, message: Message, zone: str, name: str | None, max_late: float | None
    ) -> DurableTimer:
        """Make a timer with a cron rule; see `Inbox.schedule_cron`."""
        return self.timers.start(Cron(rule, zone, max_late), message, name)

    # Accepting

    def commit(self, entry: Enveloped) -> None:
        """Begin to write an entry; see `Inbox.commit`."""
        journal, message, trace = self._journal, entry.message, entry.trace
        body = encoded(message, journal.max_message_bytes)
        message_id = self._ids.get(entry) if self._ids else None
        number = journal.next_id()
        if self._own is not None:
            self._own.add(number)
        operation = Accept(
            number,
            self.path,
            body,
            kind_of(message),
            message_id,
            b"" if message_id is None else message.content_key.encode(),
            _meta.encode(trace) if trace.__class__ is str else b"",
        )
        if message_id is None and self._has_begun and not self.timers.ticks:
            self._group.add(self, entry, operation)
        else:
            self.write_alone(entry, operation)
        self._numbers[entry] = number

    def write_alone(self, entry: Enveloped, operation: Accept) -> None:
        """Write an entry with what belongs to it: that work begins, or that a timer has ticked.

        Raises:
            JournalError: The journal is not open.
        """
        if self._unwritten:
            self._acknowledge_again()  # the journal knows the ids of these before it is asked for one
        written = self._journal.write(operation, *self._beside(entry))
        if not self._has_begun:
            self._begin(written)
        if operation.message_id is None:
            written.add_done_callback(partial(self._written_alone, entry))
        else:
            assert isinstance(entry, Ask)  # whatever has a message id is one; see `DurableMailbox.post_once`
            written.add_done_callback(partial(self._has_standing, entry, operation.message_id))

    def _written_alone(self, entry: Enveloped, written: "asyncio.Future[Any]") -> None:
        error = self._error_of(written)
        if error is None:
            self._cell.written((entry,))
        else:
            self._cell.not_written(entry, error)

    def not_written(self, entry: Enveloped, error: Exception) -> None:
        """An entry of a group cannot be written."""
        self._cell.not_written(entry, error)

    def _error_of(self, written: "asyncio.Future[Any]") -> BaseException | None:
        if written.cancelled():  # an ask must not get that as its own cancellation
            return ActorStoppedError(f"{self.path}: its journal was closed", path=self.path)
        return written.exception()

    def written(self, entries: Sequence[Enveloped]) -> None:
        """A group of entries is on disk."""
        self._cell.written(entries)

    def _beside(self, entry: Enveloped) -> list[Operation[Any]]:
        """Return what is written together with an entry: that work begins, or that a timer has ticked."""
        operations: list[Operation[Any]] = []
        if not self._has_begun:
            operations.append(Begin(mailbox_subject(self.path)))
        after_tick = self.timers.ticks.pop(entry, None)
        if after_tick is not None:
            operations.append(after_tick)
        return operations

    def _begin(self, written: "asyncio.Future[Any]") -> None:
        """Work begins with a write. If that fails the next one begins it, so that a death counts all the same."""
        self._has_begun = True
        written.add_done_callback(self._begun)

    def _begun(self, written: "asyncio.Future[Any]") -> None:
        if not written.cancelled() and written.exception() is not None:
            self._has_begun = False

    def identify(self, entry: Enveloped, message_id: str, accepted: "asyncio.Future[None] | None") -> None:
        """Note the message id of an entry; see `Inbox.identify`."""
        self._ids[entry] = message_id
        if accepted is not None:
            self._accepted[entry] = accepted

    def unhandled(self, entry: Enveloped) -> None:
        """Note that no case took an entry; see `Inbox.unhandled`."""
        if entry in self._numbers:  # else it was put aside, and is acknowledged
            self._unhandled.add(entry)

    def message_id_of(self, entry: object) -> str | None:
        """Return the sender's id of a message, or None."""
        return self._ids.get(entry)

    def _has_standing(self, entry: Ask[Any], message_id: str, written: "asyncio.Future[Acceptance]") -> None:
        """The journal has said what it knows of a message id."""
        if self._postponed is not None:  # what waits in the journal is not known yet
            self._postponed.append(partial(self._has_standing, entry, message_id, written))
            return
        error = self._error_of(written)
        if error is not None:
            self._tell_sender(entry, error)
            self._cell.not_written(entry, error)
            return
        acceptance = written.result()
        first = self._by_id.get(message_id)
        refused: Exception | None = None
        match acceptance.standing:
            case Standing.NEW:
                self._by_id[message_id] = entry
            case Standing.WAITING if first is not None:
                first.add_done_callback(partial(follow, entry))
            case Standing.WAITING:  # it was cut off in this life of the actor: the new entry takes its place
                self._by_id[message_id] = entry
                self._numbers[entry] = acceptance.number
            case Standing.HANDLED:
                try:
                    entry.answer(decode_outcome(acceptance.outcome))
                except DecodeError as undecodable:
                    entry.fail(undecodable)
            case Standing.DEAD:
                refused = MessageDeadError(
                    f"{self.path}: the message of id {message_id!r} is dead letter {acceptance.number} of the journal; "
                    f"`await system.dead_letters.durable.resend({acceptance.number})` has it handled again",
                    path=self.path,
                    message_id=message_id,
                    number=acceptance.number,
                )
            case Standing.DROPPED:
                refused = MessageDeadError(
                    f"{self.path}: the message of id {message_id!r} became dead letter {acceptance.number} of the "
                    f"journal, which was dropped; the journal refuses the id until keep_ids_for= after that; to have "
                    f"the message handled, send it under a new id",
                    path=self.path,
                    message_id=message_id,
                    number=acceptance.number,
                )
            case Standing.CONFLICT:
                refused = MessageIdConflictError(
                    f"{self.path}: the message id {message_id!r} was used before for another message; an id belongs to "
                    f"one message of this receiver",
                    path=self.path,
                    message_id=message_id,
                )
        if refused is not None:
            entry.fail(refused)
        self._tell_sender(entry, refused)
        if self._by_id.get(message_id) is entry:
            self._cell.written((entry,))
        else:
            self._cell.known_already(entry)

    def _tell_sender(self, entry: Ask[Any], error: BaseException | None) -> None:
        accepted = self._accepted.pop(entry, None)
        if accepted is not None and not accepted.done():
            if error is None:
                accepted.set_result(None)
            else:
                accepted.set_exception(error)

    def forget(self, entry: Enveloped) -> None:
        """Forget an entry that was not posted; see `Inbox.forget`."""
        self._drop(entry)
        if isinstance(entry, Ask) and entry in self._accepted:
            self._tell_sender(entry, entry.settled_error)

    def put_back(self, entry: Enveloped) -> None:
        """Count an attempt that has crashed the actor; see `Inbox.put_back`."""
        self._unhandled.discard(entry)  # the next attempt may take it
        number = self._numbers.get(entry)
        if number is not None and entry.crashes > self._attempts.get(entry, 0):
            self._attempts[entry] = entry.crashes
            self._journal.write(CountAttempt(self.path, number)).add_done_callback(self._log_unwritten)

    # Acknowledging

    def handled(self, entry: Enveloped, outcome: Outcome, answer: object) -> "asyncio.Future[None] | None":
        """Write down what became of an entry; see `Inbox.handled`."""
        if outcome is Outcome.CUT_OFF or (outcome is Outcome.CANCELLED and not self._cell.system.is_running):
            # The end of the system is no ending of the work: what it cancels waits in the journal.
            self._drop(entry)
            return None
        if outcome is Outcome.CRASHED:
            assert isinstance(answer, BaseException)
            reason, error = DeadLetterReason.POISONOUS.value, error_text(answer)
            return self._write(entry, Bury(self.path, self._numbers[entry], reason, error, attempts=entry.crashes))
        message_id = self._ids.get(entry) if self._ids else None
        if message_id is None:
            if entry in self._unhandled and outcome is Outcome.HANDLED:
                error = f"no case took the {type(entry.message).__name__}"
                buried = Bury(self.path, self._numbers[entry], DeadLetterReason.UNHANDLED.value, error)
                return self._write(entry, buried, *self._state.operations())
            return self._write(entry, Handle(self.path, self._numbers[entry]), *self._state.operations())
        if outcome is Outcome.DROPPED:
            answer = DroppedError(f"{self.path}: a full mailbox dropped the message for a newer one", path=self.path)
        elif isinstance(answer, Ask):
            if not answer.done():
                answer.add_done_callback(partial(self._answered_later, entry))
                return None
            answer = _ending_of(answer)
        return self._acknowledge(entry, answer)

    def _answered_later(self, entry: Enveloped, ask: Ask[Any]) -> None:
        """Acknowledge a message once its answer is given, unless the actor has ended before."""
        if entry in self._numbers:
            answer = _ending_of(ask)
            if isinstance(answer, ActorStoppedError) and answer.path == self.path:
                self._drop(entry)
            else:
                self._acknowledge(entry, answer)

    def _acknowledge(self, entry: Enveloped, answer: object) -> "asyncio.Future[None]":
        handle = Handle(self.path, self._numbers[entry], encode_outcome(answer))
        return self._write(entry, handle, *self._state.operations())

    def _write(self, entry: Enveloped, first: Operation[None], *more: Operation[Any]) -> "asyncio.Future[None]":
        acknowledgements: tuple[Operation[Any], ...] = (first,)
        if self._unwritten:
            # The snapshot has what these messages have changed, so they must not come again after it was saved.
            acknowledgements, self._unwritten = (*self._unwritten, first), ()
            more = more or self._state.latest()
        written = self._journal.write(*acknowledgements, *more)
        del self._numbers[entry]
        self._unhandled.discard(entry)
        if self._attempts:
            self._attempts.pop(entry, None)
        if self._ids:
            message_id = self._ids.pop(entry, None)
            if message_id is not None:
                written.add_done_callback(lambda _: self._by_id.pop(message_id, None))
        written.add_done_callback(partial(self._acknowledged, acknowledgements))
        return written

    def _acknowledged(self, acknowledgements: tuple[Operation[Any], ...], written: "asyncio.Future[Any]") -> None:
        if written.exception() is not None:
            self._log_unwritten(written)
            self._unwritten += acknowledgements
        elif self._unwritten:  # the disk works again
            self._acknowledge_again()

    def _acknowledge_again(self) -> None:
        """Write the acknowledgements that could not be written, with the state that the messages have led to."""
        acknowledgements, self._unwritten = self._unwritten, ()
        written = self._journal.write(*acknowledgements, *self._state.latest())
        written.add_done_callback(partial(self._acknowledged, acknowledgements))

    def save(self) -> None:
        """Take a snapshot of the instance; see `Inbox.save`."""
        self._state.take()

    def saved(self) -> tuple[Operation[Any], ...]:
        """Return what saves the snapshot; see `Inbox.saved`."""
        if self._unwritten:
            self._acknowledge_again()
        return self._state.operations()

    def _drop(self, entry: Enveloped) -> None:
        self._numbers.pop(entry, None)
        self._unhandled.discard(entry)
        self._attempts.pop(entry, None)
        message_id = self._ids.pop(entry, None)
        if message_id is not None and self._by_id.get(message_id) is entry:
            del self._by_id[message_id]

    def close(self) -> None:
        """The actor has ended; see `Inbox.close`."""
        self._state.let_go()
        self.timers.close()
        self._end_postponing()
        self._group.flush()  # before the next actor of this path reads its mail, and before it rests
        if self._unwritten:
            self._acknowledge_again()
        if self._has_begun:
            self._journal.write(Rest(mailbox_subject(self.path))).add_done_callback(self._rested)
        self._closed(self)

    def _rested(self, written: "asyncio.Future[Any]") -> None:
        """Log an end that was not written. A node that ends hears no answer of the driver any more: that is no failure
        where the end was in order, and is logged as the loss of the node otherwise."""
        error = None if written.cancelled() else written.exception()
        if error is not None and not isinstance(error.__cause__, NodeLostError):
            self._log_unwritten(written)


def _ending_of(ask: Ask[Any]) -> object:
    return ask.settled_error if ask.settled_error is not None else ask.settled_value
