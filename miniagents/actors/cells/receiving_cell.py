"""The mailbox at work: it takes messages, refuses them, lets senders wait for room, and closes at the end.

What a mailbox is (its bound, its order, its overflow) is a value, `Mailbox`; this is the part of a cell that carries it
out. Whether anything is taken at all is for the cell to say. The module is longer than most: the ways into one queue
and out of it change the same numbers, and have to be read together.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.entries import (
    BARRIER,
    WITHDRAWN,
    Enveloped,
    has_envelope,
    in_envelope,
    is_dead,
    is_of_a_user,
    is_of_the_runtime,
    living,
    may_be_dropped,
    number_of_stamps,
)
from miniagents.actors.messaging.envelope import Envelope
from miniagents.actors.messaging.mailbox import Overflow, PriorityQueue
from miniagents.actors.messaging.outcome import Outcome
from miniagents.actors.waiting.deadlock import Node
from miniagents.actors.waiting.termination import StopRequest
from miniagents.errors import DroppedError, InvalidOptionError, MailboxFullError
from miniagents.supervision import StopReason
from miniagents.supervision.lifecycle import OVER, Life

if TYPE_CHECKING:
    from miniagents.actors.cells.cell_ports import Inbox, System
    from miniagents.actors.messaging.options import Props
    from miniagents.actors.messaging.ref import ActorRef
    from miniagents.actors.ports import Writing


class ReceivingCell(Node):
    """The mailbox of one actor.

    Attributes:
        queue: The entries that wait (see `miniagents.actors.messaging.entries`), in a deque, a bounded or a priority
            queue; None if there are none.
        dead_entries: The number of entries in the queue that are no messages: time stamps, and dead entries.
        last_stamp: The last time stamp that was put into the queue.
        head_enqueued_at: The last time stamp that was taken from the queue.
        scheduled: True if the actor will have a turn anyway, so that a message need not wake it.
        current: The entry that is handled now.
        inbox: The part of a journal that keeps what this mailbox accepts; None for a mailbox in memory.
    """

    __slots__ = ("_room", "current", "dead_entries", "head_enqueued_at", "last_stamp", "queue", "scheduled")

    is_durable = False
    """True if a `send` returns once the message is on disk."""

    inbox: "Inbox | None" = None  # of the class, so that a mailbox in memory carries nothing

    if TYPE_CHECKING:  # what it needs of the cell
        system: System
        props: Props
        life: Life
        stopping: StopRequest | None
        reason: StopReason | BaseException | None
        start_error: BaseException | None

    def __init__(self) -> None:
        self.queue: Any = None
        self.scheduled = False
        self.last_stamp = self.head_enqueued_at = 0.0
        self.dead_entries = 0
        self.current: Any = None
        self._room: deque[asyncio.Future[None]] | None = None

    @property
    def ref(self) -> "ActorRef":
        """The reference to the actor."""
        raise NotImplementedError

    def takes_while_stopping(self) -> bool:
        """Return True if messages are taken although the actor was told to end."""
        raise NotImplementedError

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return len(self.queue) - self.dead_entries if self.queue is not None else 0

    @property
    def load(self) -> int:
        """How many messages wait or are in hand."""
        return self.depth + (self.current is not None)

    def post(self, envelope: Enveloped) -> "Writing | None":
        """Put an `Envelope` or an `Ask` into the mailbox. Check and put are one step: nothing can come in between.

        Returns:
            None: the message has been accepted or refused. A `DurableMailbox` returns itself, since it writes the
            message first.

        Raises:
            MailboxFullError: The mailbox is full and refuses; an ask's promise fails instead.
            Exception: What the mailbox's `priority=` raised; an ask's promise fails with it instead.
        """
        if self.stopping is not None and not self.takes_while_stopping():
            self.refuse(envelope)
            return None
        queue = self.queue
        if queue is None:
            queue = self.queue = self.props.options.mailbox.new_queue()
        if self.props.capacity is not None and self.is_full() and not self._overflow(envelope, queue):
            envelope.taken = True
            return None
        try:
            queue.append(envelope)
        except Exception as error:  # of the user's `priority=`
            if envelope.ask is None:
                raise
            envelope.ask.fail(error)
            return None
        if not self.scheduled:
            self.wake()
        return None

    def check_message_id(self, message_id: object) -> None:
        """Check that a message can be sent under a message id.

        Raises:
            InvalidOptionError: The mailbox is in memory, and remembers no ids.
        """
        raise InvalidOptionError(
            f"{self.path}: message_id= is for durable actors, whose journal remembers the ids; spawn it with name= and "
            f"options=SpawnOptions(durable=True)"
        )

    def post_once(self, entry: Enveloped, message_id: str) -> "asyncio.Future[None] | None":
        """Post a message under a message id, which `check_message_id` has allowed."""
        raise NotImplementedError

    def post_system(self, envelope: Envelope) -> None:
        """Put a message of the runtime into the mailbox, whatever its capacity."""
        if self.stopping is not None and not self.takes_while_stopping():
            self.refuse(envelope)
            return
        queue = self.queue
        if queue is None:
            queue = self.queue = self.props.options.mailbox.new_queue()
        queue.append(envelope)
        if not self.scheduled:
            self.wake()

    def put_back(self, envelope: Enveloped) -> None:
        """Let the message in hand be tried again before all others. It counts in no capacity, as before."""
        queue = self.queue
        if queue is None:
            queue = self.queue = self.props.options.mailbox.new_queue()
        envelope.taken = False
        queue.appendleft(envelope)

    def is_full(self) -> bool:
        """Return True if the mailbox has a capacity, and as many messages wait as it allows."""
        queue, capacity = self.queue, self.props.capacity
        if not queue or capacity is None:
            return False
        depth = len(queue) - self.dead_entries
        return depth >= capacity and self.is_full_at(depth, capacity)

    def is_full_at(self, depth: int, capacity: int) -> bool:
        """Return True if the mailbox is full with as many messages as its capacity, or more."""
        first = self.queue.first if self.queue else None
        # What is tried again was the message in hand, and counts as that; it is in front of all.
        return first is None or not first.crashes or is_dead(first) or depth > capacity

    def put_stamp(self, now: float) -> None:
        """Let the bare messages that follow in the queue be known to have come at `now`."""
        self.last_stamp = now
        self.dead_entries += 1
        self.queue.append(now)

    def waiting(self) -> list[Enveloped]:
        """Return the messages that wait, as `Envelope`s and `Ask`s."""
        return [in_envelope(entry, at) for entry, at in living(self.queue or (), self.head_enqueued_at)]

    def barrier(self) -> "Ask[None] | None":
        """A promise that settles when all that waits now has been handled; None if nothing does."""
        queue = self.queue
        if self.life is OVER or (self.current is None and not queue):
            return None
        ask = self.new_barrier()
        if queue is None:
            queue = self.queue = self.props.options.mailbox.new_queue()
        if isinstance(queue, PriorityQueue):
            queue.append_last(ask)
        else:
            queue.append(ask)
        if not self.scheduled:
            self.wake()
        return ask

    def new_barrier(self) -> Ask[None]:
        """Make the ask of a barrier."""
        me: Any = self  # a cell, which this is a part of
        ask: Ask[None] = Ask(me, BARRIER, at=self.system.time())
        ask.producer = None
        ask.mark_seen()  # how it ends is nobody's concern
        return ask

    def wake(self) -> None:
        """Have a turn of the actor run, which takes what is in the mailbox. Not called while `scheduled`."""
        raise NotImplementedError

    def acknowledge(self, entry: Enveloped, outcome: Outcome, answer: object = None) -> "asyncio.Future[None] | None":
        """Tell the inbox what became of an entry: once for each that it has committed, and for no other.

        A mailbox in memory has no inbox. Whoever calls this looks first, so that there it costs no call.

        Args:
            entry: The entry that has left the mailbox.
            outcome: What became of it.
            answer: What its handler returned or raised.

        Returns:
            What `Inbox.handled` returned.
        """
        if self.inbox is None or not is_of_a_user(entry):
            return None
        # An ask that was answered early goes on as a copy of its envelope; the inbox knows the ask.
        return self.inbox.handled(entry.ask if entry.ask.__class__ is Ask else entry, outcome, answer)

    def refuse(self, envelope: Enveloped) -> None:
        """Refuse a message for an actor that has ended: it becomes a dead letter, its ask fails."""
        envelope.taken = True
        if envelope.ask is not None:
            envelope.ask.stopped(self.reason if self.reason is not None else StopReason.SHUTDOWN, self.start_error)
        if not is_of_the_runtime(envelope):
            self.system.dead_letters.add(DeadLetterReason.STOPPED, envelope, self.ref)

    def close(self) -> None:
        """Close the mailbox of an actor that has ended: refuse the messages that wait, and wake the senders.

        Of a million messages most would not be kept as dead letters: those are only counted, so that the loop is not
        held up for a second.
        """
        queue = self.queue
        if queue is not None:
            waiting, self.queue, self.dead_entries = self.depth, None, 0
            if queue:
                self._refuse_all(queue, waiting)
        room, self._room = self._room, None
        for turn in room or ():
            if not turn.done():
                turn.set_result(None)  # the sender puts its message, and it becomes a dead letter

    def _refuse_all(self, queue: "deque[Any] | PriorityQueue", waiting: int) -> None:
        letters = self.system.dead_letters
        unkept = 0 if self.system.events.wanted else waiting - letters.most
        counted = 0
        for number, (entry, at) in enumerate(living(queue, self.head_enqueued_at), 1):
            envelope = entry if has_envelope(entry) else None
            if number <= unkept and (envelope is None or (envelope.ask is None and not is_of_the_runtime(envelope))):
                counted += 1
            else:
                self.refuse(in_envelope(entry, at))
        if counted:
            letters.counts[DeadLetterReason.STOPPED] += counted

    def _overflow(self, envelope: Enveloped, queue: "deque[Any] | PriorityQueue") -> bool:
        """Do what the mailbox's policy says.

        Returns:
            Whether there is room now.
        """
        overflow = self.props.options.mailbox.overflow
        letters = self.system.dead_letters
        if overflow is Overflow.DROP_OLDEST:
            # More than one, where the runtime has put something into a mailbox that was full.
            while self.is_full() and (oldest := self._take_oldest(queue)) is not None:
                oldest.taken = True
                letters.add(DeadLetterReason.DROPPED, oldest, self.ref)
                if oldest.ask is not None:
                    oldest.ask.fail(self._full(DroppedError, oldest, "it was dropped for a newer one"))
            return True
        if overflow is Overflow.DROP_NEWEST:
            letters.add(DeadLetterReason.DROPPED, envelope, self.ref)
            if envelope.ask is not None:
                envelope.ask.fail(self._full(DroppedError, envelope, "it was dropped"))
            return False
        if overflow is Overflow.REJECT:
            letters.add(DeadLetterReason.REJECTED, envelope, self.ref)
        error = self._full(MailboxFullError, envelope, "await send() or raise its capacity")
        if envelope.ask is None:
            envelope.taken = True
            raise error
        envelope.ask.fail(error)
        return False

    def _full(self, kind: type[MailboxFullError], envelope: Enveloped, what: str) -> MailboxFullError:
        return kind(
            f"{self.path}: mailbox is full ({self.props.capacity} messages); {what}",
            path=self.path,
            message=envelope.message,
        )

    def _take_oldest(self, queue: "deque[Any] | PriorityQueue") -> Enveloped | None:
        """Take out the message of a user that has waited longest; None if there is none."""
        if isinstance(queue, PriorityQueue):
            waiting = [e for e in queue if may_be_dropped(e) and not is_dead(e)]
            oldest = min(waiting, key=lambda e: e.at, default=None)
            queue.keep(lambda e: e is not oldest)
            return oldest
        # From the front: to look at all that wait would cost more than to handle the message, just under overload.
        passed = []
        oldest = None
        while queue and oldest is None:
            e = queue.popleft()
            if is_dead(e):
                e.taken = True
                self.dead_entries -= 1
            elif may_be_dropped(e):
                oldest = e
            else:
                passed.append(e)
        queue.extendleft(reversed(passed))
        return oldest

    @staticmethod
    def _keep(queue: "deque[Any] | PriorityQueue", wanted: Callable[[Any], bool]) -> None:
        """Throw out all others."""
        if isinstance(queue, PriorityQueue):
            queue.keep(wanted)
        else:
            kept = [entry for entry in queue if wanted(entry)]
            queue.clear()
            queue.extend(kept)

    async def room(self) -> None:
        """Wait until the mailbox has room, if its policy is to let senders wait."""
        if self.props.capacity is None or self.props.options.mailbox.overflow is not Overflow.BACKPRESSURE:
            return
        queued_before = False
        while self.life is not OVER and (self.is_full() or (self._room and not queued_before)):
            if self._room is None:
                self._room = self.system.scheduling.waiting_line(self.path)
            turn = self.system.loop.create_future()
            # A `tell` may have taken the place in between: then this sender is the next all the same.
            (self._room.appendleft if queued_before else self._room.append)(turn)
            queued_before = True
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.made_room()
                elif self._room is not None and turn in self._room:
                    self._room.remove(turn)
                raise

    def made_room(self) -> None:
        """Wake one sender that waits for room, by default the one that has waited longest: a message was taken."""
        while self._room:
            turn = self._room.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def ask_expired(self, ask: "Ask[Any]") -> None:
        """An ask ended because its deadline passed."""
        if not ask.taken:
            self.system.dead_letters.add(DeadLetterReason.EXPIRED, ask, self.ref)
            self.withdraw(ask, Outcome.EXPIRED)

    def ask_cancelled(self, ask: Ask[Any]) -> "asyncio.Future[None] | None":
        """An ask was cancelled: take it out, or interrupt its handler.

        Returns:
            A future of the moment when its handler has ended, or None if that does not run.
        """
        if ask is self.current:
            return self.interrupt_current()
        self.withdraw(ask)
        return None

    def withdraw(self, entry: Enveloped, outcome: Outcome = Outcome.CANCELLED) -> None:
        """Let an entry die that waits: an ask that has ended or ends now, or a message that is not wanted any more.

        Args:
            entry: The entry. One that has left the mailbox is left alone.
            outcome: What has become of it.
        """
        if not entry.taken:
            if self.inbox is not None:
                self.acknowledge(entry, outcome)
            if entry.ask is None:
                entry.ask = WITHDRAWN
            self.dead_entries += 1
            self._compact(entry)

    def interrupt_current(self) -> "asyncio.Future[None] | None":
        """Interrupt the handler of the message in hand, whose ask was cancelled; the instance lives."""
        return None

    def _compact(self, ended: Enveloped) -> None:
        """Throw out what has ended, `ended` as the last, once it is the larger part, so that it does not pile up."""
        queue = self.queue
        if queue is not None and self.dead_entries > 32 and self.dead_entries * 2 > len(queue):
            self._keep(queue, lambda entry: entry is not ended and not is_dead(entry))
            self.dead_entries = number_of_stamps(queue)
        self.made_room()
