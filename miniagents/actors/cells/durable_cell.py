"""`DurableMailbox` and `DurableActorCell`: a mailbox that accepts an entry in three steps, on disk before the queue.

The module is longer than most: the three steps and what may happen between them have to be read together.

Before the actor starts, its inbox recovers what the journal has kept for its path. These entries come first.

1. *Reserve*: the entry takes its place in line, and room in the mailbox; or it is refused, as the mailbox's policy
   says. So nothing is on disk that was refused.
2. *Commit*: the inbox writes the entry. If that fails, the room is given back and the sender gets the error.
3. *Post*: the entry goes into the queue, in the order in which room was reserved, however the writes end.

Between the first and the third step the sender may leave, and the actor may end. The write goes on, and what is on disk
is acknowledged with what became of it meanwhile.

Each wait is ended by the inbox, which says of every entry how its write has ended: a `send` waits for its own write
alone, and an actor that drains waits for the writes of all that it has accepted. An ask ends as any ask does: by its
answer, by its asker, or with the actor, whose end does not wait for a write.
"""

import asyncio
import enum
from collections import OrderedDict, deque
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from miniagents.actors.cells.actor_cell import ActorCell, name_of_factory
from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.messaging.ask import Ask, follow
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.entries import (
    BARRIER,
    Enveloped,
    in_envelope,
    is_of_a_user,
    living,
    may_be_dropped,
)
from miniagents.actors.messaging.envelope import check_message_id
from miniagents.actors.messaging.mailbox import BoundedQueue, PriorityQueue
from miniagents.actors.messaging.options import Props
from miniagents.actors.messaging.outcome import Outcome
from miniagents.promising.failures import log_failure
from miniagents.supervision import StopReason
from miniagents.supervision.lifecycle import BORN, OVER, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from miniagents.actors.cells.cell_ports import Inbox, System


class MailRecovery(enum.Enum):
    """How far the recovery of what a journal has kept is."""

    TO_COME = "to_come"
    RUNS = "runs"
    DONE = "done"


DURABLE_SLOTS = ("_askers", "_ended", "_recovery", "_reserved", "_senders", "_start_failure", "inbox")
"""The slots of a class of cells that begins with `DurableMailbox`."""


class DurableMailbox(LivingCell):
    """The mailbox of a durable actor, in front of the class of its cell: `class X(DurableMailbox, XCell)`.

    Attributes:
        inbox: The part of a journal that writes the entries.
    """

    __slots__ = tuple[str]()  # the kinds of cells have the slots: two bases with some cannot be joined

    is_durable = True
    inbox: "Inbox"
    _recovery: "MailRecovery"
    _start_failure: BaseException | None  # of the recovery, for the start that it was for
    _askers: dict[Ask[Any], Ask[Any]]  # the asks with a message id, and the entry that each follows
    _reserved: "OrderedDict[Enveloped, bool]"  # the entries in line, and whether each may be posted
    _ended: dict[Enveloped, Outcome]  # those that have ended while they are written
    _senders: "dict[Enveloped, asyncio.Future[None]]"  # the futures of the sends that wait for a write

    def open_mailbox(self, inbox: "Inbox") -> None:
        """Begin to accept entries, which the inbox writes."""
        self.inbox = inbox
        self._recovery = MailRecovery.TO_COME
        self._start_failure = None
        self._reserved = OrderedDict()
        self._ended = {}
        self._senders = {}
        self._askers = {}
        props = self.props
        self.props = Props(partial(self._new_instance, props.factory), props.options, props.errors, props.strategy)
        queue = self.props.options.mailbox.new_queue()
        self.queue = BoundedQueue() if queue.__class__ is deque else queue  # so that `tell` asks us first

    # The start

    def take_notice(self) -> None:
        """Recover what the journal has kept, before the start; then do what a mailbox in memory does."""
        if self.life.phase is not Phase.DUE or self._recovery is MailRecovery.DONE:
            super().take_notice()
        elif self._recovery is MailRecovery.TO_COME:
            self._recovery = MailRecovery.RUNS
            self.scheduled = True  # no message wakes it before
            self.system.start_soon(self._recover(), on_cancelled=self._recovered)

    async def _recover(self) -> None:
        try:
            entries = await self.inbox.recover()
        except Exception as error:
            self._recovered(error)
            return
        if self.life is not OVER:
            for entry in entries:
                self.queue.append(entry)
            self._recovered()

    def _recovered(self, error: BaseException | None = None) -> None:
        """Let the start begin that has waited; after a failure it fails."""
        self._start_failure = error
        self._recovery = MailRecovery.DONE
        if error is None:
            self._post_written()
        if self.life.phase is Phase.DUE:
            self.take_notice()

    def _new_instance(self, factory: "Callable[..., Any]") -> Any:
        error, self._start_failure = self._start_failure, None
        if error is not None:
            self._recovery = MailRecovery.TO_COME  # the next start tries again
            raise error
        instance = factory()
        self.inbox.restore(self.with_state(instance))
        return instance

    def with_state(self, instance: Any) -> Any:
        """Return the object that may have `snapshot` and `restore`: the actor itself, or what it is made of."""
        return instance

    @property
    def depth(self) -> int:
        """How many messages wait, in the queue or in line before it."""
        return super().depth + len(self._reserved)

    def is_full(self) -> bool:
        """Return True if the mailbox has a capacity, and as many messages wait or have reserved room as it allows."""
        capacity, depth = self.props.capacity, self.depth
        return capacity is not None and depth >= capacity and self.is_full_at(depth, capacity)

    # The three steps

    def post(self, envelope: Enveloped) -> Self | None:
        """Reserve room for an entry and begin to write it. When it is on disk it goes into the queue.

        Returns:
            Itself: `until_written` is the moment that `send` waits for. None if the entry was refused, or is none that
            is written: a call of an agent.

        Raises:
            MailboxFullError: The mailbox is full and refuses; an ask's promise fails instead.
            Exception: What the mailbox's `priority=` raised, or the inbox, which refuses the entry; an ask's promise
                fails with it instead.
        """
        if not self._reserve(envelope):
            return None
        if not is_of_a_user(envelope):
            self._line_up(envelope)
            return None
        try:
            priority = self.props.options.mailbox.priority
            if priority is not None:
                priority(envelope.message)  # it refuses before anything is written, and not after
            self.inbox.commit(envelope)
        except Exception as error:
            if envelope.ask is None:
                raise
            envelope.ask.fail(error)
            return None
        self._reserved[envelope] = False
        return self

    def until_written(self, entry: Enveloped) -> "asyncio.Future[None]":
        """Return a future of the moment when an entry that was just posted is on disk. To cancel it changes nothing."""
        sender = self._senders[entry] = self.system.loop.create_future()
        return sender

    def check_message_id(self, message_id: object) -> None:
        """Check that a message can be sent under a message id; here it can.

        Raises:
            InvalidOptionError: The id is no text, or is empty.
        """
        check_message_id(self.path, message_id)

    def post_once(self, entry: Enveloped, message_id: str) -> "asyncio.Future[None] | None":
        """Post a message under a message id. It is handled once, however often it is sent under that id.

        The entry in the mailbox is an ask of the mailbox's own. The ask of the sender follows that, and may leave.

        Args:
            entry: The envelope of a `send`, or the ask of the sender.
            message_id: The sender's id of the message.

        Returns:
            For an envelope, a future of the moment when the message is on disk, or was before; it fails if the message
            is refused. None for an ask.
        """
        kept: Ask[Any] = Ask(self, entry.message, None, entry.sender, None, entry.correlation_id, entry.trace, entry.at)
        kept.mark_seen()
        accepted: asyncio.Future[None] | None = None
        if entry.ask is None:
            accepted = self.system.loop.create_future()
        else:
            self._askers[entry.ask] = kept
            kept.add_done_callback(partial(self._answer_asker, entry.ask))
        self.inbox.identify(kept, message_id, accepted)
        if self.post(kept) is None:
            self.inbox.forget(kept)
        return accepted

    def _answer_asker(self, ask: Ask[Any], kept: Any) -> None:
        follow(ask, kept)
        del self._askers[ask]

    def ask_expired(self, ask: Ask[Any]) -> None:
        """An ask ended because its deadline passed. If it has a message id, the message is handled all the same."""
        if ask not in self._askers:
            super().ask_expired(ask)

    def _reserve(self, envelope: Enveloped) -> bool:
        """Look whether there is room, or make some, as the mailbox's policy says.

        Returns:
            False if the entry was refused or dropped.
        """
        if self.stopping is not None and not self.takes_while_stopping():
            self.refuse(envelope)
            return False
        if self.props.capacity is not None and self.is_full() and not self._overflow(envelope, self.queue):
            envelope.taken = True
            return False
        return True

    # What the inbox says of the entries that it was to commit

    def written(self, entries: "Iterable[Enveloped]") -> None:
        """Entries are on disk: post them, and let their senders go on."""
        reserved, ended, senders = self._reserved, self._ended, self._senders
        for entry in entries:
            if ended and entry in ended:
                self.acknowledge(entry, ended.pop(entry))
            else:
                reserved[entry] = True
            sender = senders.pop(entry, None)
            if sender is not None and not sender.done():
                sender.set_result(None)
        self._post_written()

    def not_written(self, entry: Enveloped, error: BaseException) -> None:
        """Nothing of an entry is on disk: give its room back, and tell its sender."""
        self.inbox.forget(entry)
        outcome = self._ended.pop(entry, None)
        is_told = self._let_sender_fail(entry, error)
        if outcome is None or outcome is Outcome.CUT_OFF:
            entry.taken = True
            self.system.dead_letters.add(DeadLetterReason.NOT_WRITTEN, entry, self.ref)
            if entry.ask is not None:
                entry.ask.fail(error)
            elif not is_told:
                log_failure("mailbox.not_written", error, actor=self.path)
        if outcome is None:
            self._leave_line(entry)
            self._post_written()

    def known_already(self, entry: Enveloped) -> None:
        """The same message was written before, and is not posted again; its ask is the inbox's to end."""
        self.inbox.forget(entry)
        sender = self._senders.pop(entry, None)
        if sender is not None and not sender.done():
            sender.set_result(None)
        entry.taken = True
        if self._ended.pop(entry, None) is None:
            self._leave_line(entry)
            self._post_written()

    def _let_sender_fail(self, entry: Enveloped, error: BaseException) -> bool:
        """Let the `send` of an entry fail. Return False if none waits."""
        sender = self._senders.pop(entry, None)
        if sender is None or sender.done():
            return False
        sender.set_exception(error)
        return True

    def _post_written(self) -> None:
        """Post from the front of the line what may be posted; before the actor has recovered nothing is."""
        if self._recovery is not MailRecovery.DONE:
            return
        reserved, ready = self._reserved, list[Enveloped]()
        while reserved:
            entry, is_written = reserved.popitem(last=False)
            if not is_written:
                reserved[entry] = False
                reserved.move_to_end(entry, last=False)
                break
            ready.append(entry)
        if self.queue.__class__ is not BoundedQueue:
            for entry in ready:
                self.deliver(entry)
        elif ready:
            self.queue.extend(ready)
            self._wake_for_mail()

    def deliver(self, entry: Enveloped) -> None:
        """Put an entry that is on disk into the queue, whatever the capacity.

        An actor that has not begun takes it in its first turn.
        """
        queue = self.queue
        try:
            if entry.message is BARRIER and isinstance(queue, PriorityQueue):
                queue.append_last(entry)
            else:
                queue.append(entry)
        except Exception as error:  # of a `priority=` that raised nothing when it was asked before
            self.acknowledge(entry, Outcome.CRASHED, error)
            if entry.ask is not None:
                entry.ask.fail(error)
            log_failure("mailbox.not_posted", error, actor=self.path)
            return
        self._wake_for_mail()

    def _wake_for_mail(self) -> None:
        if not self.scheduled and self.life is not BORN:
            self.wake()

    def deliver_behind(self, entry: Enveloped) -> None:
        """Deliver an entry that is on disk behind all that is being written."""
        if self.life is OVER:
            self.acknowledge(entry, Outcome.CUT_OFF)
        else:
            self._line_up(entry)

    def put_back(self, envelope: Enveloped) -> None:
        """Let the message in hand be tried again before all others, and count an attempt that has crashed."""
        self.inbox.put_back(envelope)
        super().put_back(envelope)

    def _line_up(self, entry: Enveloped) -> None:
        """Let an entry that is not written wait behind those that are being written."""
        self._reserved[entry] = True
        self._post_written()

    def _leave_line(self, entry: Enveloped) -> None:
        del self._reserved[entry]
        self.made_room()
        if self.stopping is not None and not self.scheduled:
            self.wake()  # it drains, and this may have been the last

    # What happens to an entry in line

    def barrier(self) -> "Ask[None] | None":
        """A promise that settles when all that waits now, in the queue or in line, has been handled."""
        if not self._reserved and self._recovery is MailRecovery.DONE:
            return super().barrier()
        if self.life is OVER:
            return None
        ask = self.new_barrier()
        self._line_up(ask)
        return ask

    def withdraw(self, entry: Enveloped, outcome: Outcome = Outcome.CANCELLED) -> None:
        """Let an entry die that waits; one that is being written is acknowledged when it is on disk."""
        if entry in self._reserved:
            self._end_in_line(entry, outcome)
        elif entry not in self._askers:
            super().withdraw(entry, outcome)

    def _end_in_line(self, entry: Enveloped, outcome: Outcome) -> None:
        if self._reserved[entry]:
            self.acknowledge(entry, outcome)
        else:
            self._ended[entry] = outcome
        entry.taken = True
        self._leave_line(entry)

    def _take_oldest(self, queue: "deque[Any] | PriorityQueue") -> Enveloped | None:
        """Take out the message of a user that has waited longest, of those in line the first; None if there is none."""
        oldest = super()._take_oldest(queue)
        if oldest is not None:
            self.acknowledge(oldest, Outcome.DROPPED)
            return oldest
        for entry in self._reserved:
            if may_be_dropped(entry):
                self._end_in_line(entry, Outcome.DROPPED)
                return entry
        return None

    # The end

    def close(self) -> None:
        """Close the mailbox of an actor that has ended. What is on disk waits for the next actor of that path."""
        for entry in tuple(self._reserved):
            self._end_in_line(entry, Outcome.CUT_OFF)
            self._end_with_actor(entry)
        super().close()
        self.inbox.close()

    def _refuse_all(self, queue: "deque[Any] | PriorityQueue", waiting: int) -> None:
        for waiting_entry, at in living(queue, 0.0):
            entry = in_envelope(waiting_entry, at)
            self.acknowledge(entry, Outcome.CUT_OFF)
            self._end_with_actor(entry)

    def _end_with_actor(self, entry: Enveloped) -> None:
        if not is_of_a_user(entry):
            self.refuse(entry)
            return
        entry.taken = True
        if entry.ask is not None:
            entry.ask.stopped(self.reason if self.reason is not None else StopReason.SHUTDOWN, self.start_error)


class DurableActorCell(DurableMailbox, ActorCell):
    """The cell of a durable `Actor`.

    Args:
        system: Its system.
        parent: The cell that it is a child of.
        name: Its name.
        props: How it is made.
        new_inbox: Makes the inbox, which writes what it accepts.
    """

    __slots__ = DURABLE_SLOTS

    def __init__(
        self,
        system: "System",
        parent: Cell | None,
        name: str,
        props: Props,
        new_inbox: "Callable[[Cell], Inbox]",
    ) -> None:
        super().__init__(system, parent, name, props)
        self.open_mailbox(new_inbox(self))

    @property
    def type_name(self) -> str:
        """The name of the actor's class."""
        made_by_mailbox: Any = self.props.factory
        return name_of_factory(made_by_mailbox.args[0])
