"""`DurablePlacedCell`: a durable actor whose code runs on another node, and that outlives this node.

Its references lead here, to its *home*, which hands messages on to where the actor is now. The mailbox there writes
them into the journal of the driver before it takes them. When the node is lost or leaves, the actor is no other one:
uid and references stay, nobody gets `Terminated`, and another node reads what the journal has kept before it takes new
messages. What comes while there is no node waits here.

Who ends its waits: a `send` waits for the node to have written the message, or for the loss of the node. One with a
message id is handed on again then, since the journal tells whether it was written. All end with the actor.
"""

import asyncio
from collections import deque
from functools import partial
from typing import Any

import msgspec

from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.entries import Enveloped
from miniagents.actors.messaging.envelope import check_message_id
from miniagents.actors.messaging.identity import Identity
from miniagents.actors.messaging.mailbox import BoundedQueue
from miniagents.actors.messaging.ref import ActorRef
from miniagents.cluster import hosting, items
from miniagents.cluster.frames import check_size, pack
from miniagents.cluster.link import UNNAMED
from miniagents.cluster.placed_cell import PlacedCell
from miniagents.errors import ActorStoppedError, NodeLostError
from miniagents.journal import StoredEnvelope
from miniagents.messages import Message
from miniagents.promising import Promise
from miniagents.supervision import StopReason
from miniagents.supervision.lifecycle import OVER, Event, Phase, Wish


class DurablePlacedCell(PlacedCell):
    """The home of a durable actor that lives on another node; see `PlacedCell`."""

    __slots__ = ("_again", "_ids", "_senders")

    is_durable = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ids: dict[Enveloped, str] = {}  # of those that wait here
        self._again: list[tuple[Enveloped, str]] = []  # whose node was lost before it had said that they are written
        self._senders: dict[Enveloped, asyncio.Future[None]] = {}
        mail = self.system.durable_mail
        assert mail is not None  # the system has a journal
        mail.lives_elsewhere(self.path, self)

    # Identity

    @property
    def identity(self) -> Identity:
        """The identity, in which the node is that of the home."""
        system = self.system
        return Identity(system.id, system.node_name, system.node_epoch, self.path, self.uid)

    def new_ref(self) -> ActorRef:
        """Return the reference, which leads here."""
        return ActorRef(self)

    @property
    def is_displaced(self) -> bool:  # type: ignore[override]  # an attribute of the class, elsewhere
        """True while the node that it lived on is lost, or has given it away."""
        return not self.remote.is_alive

    @property
    def _is_there(self) -> bool:
        return self.remote.is_alive and self._moved is None

    # Messages

    def post(self, envelope: Enveloped) -> Any:
        """Hand a message on, or let it wait for the next node.

        Returns:
            Itself: `until_written` is the moment that `send` waits for. None for an ask, and if it was refused.
        """
        if self._is_there:
            self._hand_on(envelope)
        else:
            self._let_wait(envelope)
        return self if envelope.ask is None and envelope in self._senders else None

    def _let_wait(self, entry: Enveloped) -> None:
        if self.queue is None:
            queue = self.props.options.mailbox.new_queue()
            self.queue = BoundedQueue() if queue.__class__ is deque else queue  # so that `tell` asks us first
        LivingCell.post(self, entry)
        if entry.ask is None and not entry.taken:
            self._senders[entry] = self.system.loop.create_future()

    def _hand_on(self, entry: Enveloped) -> None:
        message_id = self._ids.pop(entry, UNNAMED)
        if isinstance(entry, Ask):
            entry.cell = self.remote  # type: ignore[assignment]  # it does what an ask needs of a cell
            if message_id == UNNAMED:
                self.remote.post(entry)
            else:
                self.remote.post_once(entry, message_id)
            return
        written = self.remote.post_once(entry, message_id)
        assert written is not None  # the message wants no answer
        self._senders.setdefault(entry, self.system.loop.create_future())
        written.add_done_callback(partial(self._written, entry, message_id))

    def until_written(self, entry: Enveloped) -> "asyncio.Future[None]":
        """Return a future of the moment when an entry that was just posted is on the disk of the driver."""
        return self._senders[entry]

    def check_message_id(self, message_id: object) -> None:
        """Check that a message can be sent under a message id; here it can.

        Raises:
            InvalidOptionError: The id is no text, or is empty.
        """
        check_message_id(self.path, message_id)

    def post_once(self, entry: Enveloped, message_id: str) -> "asyncio.Future[None] | None":
        """Hand a message on under a message id; see `RemoteCell.post_once`."""
        self._ids[entry] = message_id
        written = self.post(entry)
        return self.until_written(entry) if written is not None else None

    def _written(self, entry: Enveloped, message_id: str, written: "asyncio.Future[Any]") -> None:
        """The node has written a message or has refused it, or is lost."""
        error = written.exception()
        is_unsure = isinstance(error, ActorStoppedError) and isinstance(error.__cause__, NodeLostError)
        if is_unsure and message_id != UNNAMED and self.life is not OVER:
            self._again.append((entry, message_id))
            if self._is_there:
                self._hand_on_again()
            return
        sender = self._senders.pop(entry, None)
        if sender is not None and not sender.done():
            if error is None:
                sender.set_result(None)
            else:
                sender.set_exception(error)
                sender.exception()  # a `tell` waits for nothing; a `send` gets it all the same

    def _hand_on_again(self) -> None:
        again, self._again = self._again, []
        for entry, message_id in again:
            self._ids[entry] = message_id
            self._hand_on_safely(entry)

    def _hand_on_safely(self, entry: Enveloped) -> None:
        try:
            self._hand_on(entry)
        except Exception as error:  # of the link; whoever has told it has gone on
            self.system.dead_letters.add(DeadLetterReason.REJECTED, entry, self.ref)
            refused: asyncio.Future[Any] = self.system.loop.create_future()
            refused.set_exception(error)
            self._written(entry, UNNAMED, refused)

    def _hand_on_all(self) -> None:
        """Hand on what has waited: first what the last node may have written."""
        self._hand_on_again()
        waiting = self.waiting()
        self.queue, self.dead_entries = None, 0
        for entry in waiting:
            self._hand_on_safely(entry)
        self._ids.clear()  # of asks that have ended while they waited
        while self._room:
            self.made_room()

    def take_resent(self, mail: StoredEnvelope, message: Message) -> None:
        """Hand on a dead letter that was sent again. While there is no node, the next one reads it."""
        if self._is_there:
            data = pack([items.RESENT, self.uid, msgspec.to_builtins(mail, builtin_types=(bytes,))])
            check_size(data, self.path)
            self.remote.link.channel.send(data)  # type: ignore[attr-defined]  # the link of nodes has one

    async def room(self) -> None:
        """Wait for room on the node, or here while there is none."""
        if self._is_there:
            await self.remote.room()
        else:
            await LivingCell.room(self)

    def is_full(self) -> bool:
        """Return True if as many messages wait here as the mailbox takes."""
        return LivingCell.is_full(self)

    # Life

    def stop(self, *, reason: StopReason, drain: bool, own: bool = False) -> Promise[Any]:
        """Ask for an exit; see `LivingCell.stop`."""
        if self._is_there:
            return self.remote.stop(reason=reason, drain=drain)
        return super().stop(reason=reason, drain=drain, own=own)

    def take_notice(self) -> None:
        """Have the node do what was asked of the cell, another one if that is lost."""
        if self.life.phase is not Phase.DUE or not self.is_displaced:
            super().take_notice()
            return
        self._restart_reason = None
        self._asked = Wish.NONE
        self.apply(Event.BEGUN)
        try:
            self._find_place()
        except Exception as error:  # another node was lost, and there is no place now
            self._start_failed(error)
            return
        self._spawn()
        self._hand_on_all()

    def _find_place(self) -> None:
        placing = self._placing
        _, options, _ = self.made_of
        node = self.lives_on = placing.choose(self.path, options)
        identity = Identity(self.system.id, node.name, node.epoch, self.path, self.uid)
        self.remote = placing.nodes.find(identity, ActorRef)

    def move(self, error: NodeLostError) -> None:
        """End the code there within its time to shut down, and start it on another node. What was handed on before is
        taken there first; what comes now waits here."""
        if self._moved is None and self.life.phase is not Phase.DOWN:
            self._moved = error
            self._ask(hosting.TERMINATE, StopReason.SHUTDOWN, control=False)

    def tell_terminated(self, target: Any) -> None:
        """The code on the other node has ended for good, or with its node: then it is started elsewhere."""
        reason = self._moved if self._moved is not None else target.reason
        wish = self.life.wish
        if target is not self.remote or not isinstance(reason, NodeLostError) or wish is Wish.TERMINATE:
            super().tell_terminated(target)
            return
        if self.life is OVER:
            return
        self._moved = None
        self.reason = reason
        self._placing.gone(self)
        phase = self.life.phase
        if wish is Wish.SUSPEND:
            self.reported(hosting.SUSPENDED, None)
        elif phase in (Phase.STARTING, Phase.UP, Phase.DOOMED):
            if phase is Phase.STARTING:
                self.apply(Event.STARTED)  # the loss is no failure of the start
                self.reason = reason
            self.apply(Event.CRASHED)
            self.apply(Event.GONE)

    def judge(self) -> None:
        """The verdict on an exit: the loss of a node is none of its own, and counts in no window of its own."""
        if self.is_displaced and self.supervisor is None and self.life.wish is Wish.NONE:
            self.apply(Event.RESTARTS)
        else:
            super().judge()

    def restart(self) -> None:
        """Have it started again: after a loss once there is a place."""
        if not self.is_displaced or self.supervisor is not None:
            super().restart()
            return
        _, options, _ = self.made_of
        self._placing.when_ready(options, self._restart_later)

    def _restart_later(self) -> None:
        if self.life.phase is Phase.DOWN:
            self._later = self.system.loop.call_later(self._placing.pause(1), self._restart_now)

    def settle(self) -> None:
        """Settle all that waits for the actor, which has ended for good."""
        held = [*self.waiting(), *(entry for entry, _ in self._again)]
        super().settle()
        mail = self.system.durable_mail
        if mail is not None:
            mail.forget(self.path, self)
        for entry in held:
            sender = self._senders.pop(entry, None)
            if sender is not None and not sender.done():
                sender.set_exception(ActorStoppedError(f"{self.path}: has ended", path=self.path, reason=self.reason))
                sender.exception()
        self._again.clear()
