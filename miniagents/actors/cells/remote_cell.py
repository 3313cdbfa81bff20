"""`RemoteCell`: the cell of an actor whose mailbox is elsewhere. What a reference does with it goes to a link."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol, Self

from miniagents.actors.cells.stand_in import StandIn
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.entries import Enveloped
from miniagents.actors.messaging.envelope import check_message_id
from miniagents.actors.messaging.identity import Identity
from miniagents.actors.messaging.mailbox import Overflow
from miniagents.actors.messaging.ref import ActorRef
from miniagents.actors.waiting.termination import StopRequest
from miniagents.errors import ActorStoppedError, InvalidOptionError
from miniagents.promising import Promise
from miniagents.supervision import StopReason
from miniagents.supervision.lifecycle import BORN, OVER, Life

if TYPE_CHECKING:
    from collections.abc import Iterable

    from miniagents.actors.cells.cell import Cell
    from miniagents.actors.cells.cell_ports import System
    from miniagents.actors.messaging.ask import Ask


class RemoteCell(StandIn):
    """The cell of an actor that lives on another node: it hands on what is sent, and waits for answers and the end.

    Every wait for the actor is ended by the link: an ask by its answer, and all of them by `ended`, which the link
    calls when the actor has ended or its node is lost. A deadline and a cancel end an ask here at once, as any ask.

    Args:
        system: The system here that uses it.
        identity: The actor's.
        link: The way to it.
        kind: The class of the reference to it.

    Attributes:
        overflow: The policy of its mailbox, as far as it is known here.
    """

    __slots__ = (
        "_asks",
        "_started",
        "_stops",
        "_terminated",
        "_watches",
        "_written",
        "life",
        "link",
        "overflow",
        "reason",
        "system",
        "watchers",
    )

    stopping: StopRequest | None = None

    def __init__(self, system: "System", identity: Identity, link: "Link", kind: type[ActorRef] = ActorRef) -> None:
        super().__init__(identity, kind)
        self.system = system
        self.link = link
        self.life: Life = BORN
        self.overflow = Overflow.BACKPRESSURE
        self.reason: StopReason | BaseException | None = None
        self.watchers: dict[Cell, None] | None = None
        self._asks: dict[Ask[Any], None] = {}
        self._written: asyncio.Future[Any] | None = None
        self._stops: dict[Promise[Any], None] = {}
        self._started: Promise[None] | None = None
        self._terminated: Promise[Any] | None = None
        self._watches = False

    @property
    def is_alive(self) -> bool:
        """True as long as nobody has heard of the end."""
        return self.life is not OVER

    @property
    def load(self) -> int:
        """How many questions have no answer yet."""
        return len(self._asks)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}#{self.uid} on node {self.identity.node!r}>"

    # To the actor

    def check_message_id(self, message_id: object) -> None:
        """Check that a message can be sent under a message id. Whether the actor is durable is found out there.

        Raises:
            InvalidOptionError: The id is no text, or is empty.
        """
        check_message_id(self.path, message_id)

    def post_once(self, entry: Enveloped, message_id: str) -> "asyncio.Future[Any] | None":
        """Hand a message on under a message id.

        Returns:
            For a message that wants no answer, a future of the moment when it is on disk there.

        Raises:
            ActorStoppedError: The actor has ended, and the message wants no answer: its sender may try again.
        """
        if self.life is OVER and entry.ask is None:
            entry.taken = True
            raise self.ended_error()
        return self._hand_on(entry, message_id)

    def post(self, envelope: Enveloped) -> Self | None:
        """Hand a message on. The mailbox that gets it decides what becomes of it: a full one makes it a dead letter
        there, or fails the ask.

        Returns:
            None, or itself if the link says when the message is on disk there: `until_written` is that moment.

        Raises:
            Exception: The link refuses the message; an ask fails with it instead.
        """
        self._written = self._hand_on(envelope, None)
        if self._written is None:
            return None
        self._written.add_done_callback(_seen)  # a `tell` waits for nothing
        return self

    def until_written(self, entry: Enveloped) -> "asyncio.Future[Any]":
        """Return a future of the moment when the entry that was posted last is on disk there."""
        assert self._written is not None  # `post` has returned the cell
        return self._written

    def _hand_on(self, entry: Enveloped, message_id: str | None) -> "asyncio.Future[Any] | None":
        entry.taken = True
        ask = entry.ask
        if self.life is OVER:
            if ask is not None:
                ask.stopped(self.reason)
            self.system.dead_letters.add(DeadLetterReason.STOPPED, entry, self.ref)
            return None
        try:
            written = self.link.deliver(self, entry, message_id)
        except Exception as error:
            if ask is None:
                raise
            ask.fail(error)
            return None
        if ask is not None:
            self._asks[ask] = None
            ask.add_done_callback(self._answered)
        return written

    def _answered(self, ask: Any) -> None:
        self._asks.pop(ask, None)

    def heed(self, overflow: Overflow) -> None:
        """Adopt the overflow policy of the mailbox, which is also that of a full link, until the end of the actor."""
        self.overflow = overflow
        self._watch_there()

    async def room(self) -> None:
        """Wait until the link takes a message for the actor, if its policy is to let senders wait."""
        if self.life is not OVER and self.overflow is Overflow.BACKPRESSURE:
            await self.link.room(self)

    def stop(self, *, reason: StopReason, drain: bool) -> Promise[Any]:
        """Ask for an exit.

        Returns:
            The promise of the exit's reason.
        """
        if self.life is OVER:
            return self.terminated()
        promise: Promise[Any] = Promise()
        self._stops[promise] = None
        promise.add_done_callback(self._was_stopped)
        self.link.stop(self, promise, reason=reason, drain=drain)
        return promise

    def start_again(self) -> Promise[None]:
        """Have the supervisor of the actor end it and start it again, if that is here.

        Returns:
            The promise of its start; it fails with `InvalidOptionError` if its supervisor is on another node.
        """
        placing = self.system.placing
        child = placing.child_here(self.uid) if placing is not None else None
        if child is not None and child.identity == self.identity:
            again: Promise[None] = child.start_again()
            return again
        promise: Promise[None] = Promise()
        promise.reject(
            self.ended_error()
            if self.life is OVER
            else InvalidOptionError(
                f"{self.path}: lives on node {self.identity.node!r}: restart() it on the node of its supervisor"
            )
        )
        return promise

    def ended_error(self) -> ActorStoppedError:
        """Return the error of what is asked of the actor after its end."""
        return ActorStoppedError(f"{self.path}: has ended", path=self.path, reason=self.reason)

    def _was_stopped(self, promise: Promise[Any]) -> None:
        self._stops.pop(promise, None)

    # What an ask needs of its cell

    def ask_cancelled(self, ask: "Ask[Any]") -> "asyncio.Future[None] | None":
        """An ask was cancelled: cancel what runs for it there.

        Returns:
            A future of the moment when that has ended, or None if nothing runs.
        """
        return self.link.cancel(self, ask) if ask in self._asks else None

    def ask_expired(self, ask: "Ask[Any]") -> None:
        """Do nothing: the deadline has travelled with the question, and passes there, too."""

    def all_started(self, those: "Iterable[Any]") -> list[Any]:
        """Return those: no handler here has started them."""
        return list(those)

    # From the actor

    def _watch_there(self) -> None:
        """Have the link report the start and the end, once."""
        if not self._watches and self.life is not OVER:
            self._watches = True
            self.link.watch(self)

    def add_watcher(self, watcher: "Cell") -> None:
        """Tell `watcher` of the end."""
        if self.watchers is None:
            self.watchers = {}
        self.watchers[watcher] = None
        self._watch_there()

    def remove_watcher(self, watcher: "Cell") -> None:
        """Do not tell `watcher` of the end. The link goes on watching: it reports an end that nobody waits for."""
        if self.watchers is not None:
            self.watchers.pop(watcher, None)

    def started(self) -> Promise[None]:
        """The promise of its start."""
        if self._started is None:
            self._started = Promise()
            if self.life is OVER:
                self._started.resolve(None)  # whoever has a reference to it has not heard of a failed start
            else:
                self._watch_there()
        return self._started

    def terminated(self) -> Promise[Any]:
        """The promise of its end."""
        if self._terminated is None:
            self._terminated = Promise()
            if self.life is OVER:
                self._terminated.resolve(self.reason)
            else:
                self._watch_there()
        return self._terminated

    def has_started(self, error: BaseException | None = None) -> None:
        """The link reports the start, or what it failed with."""
        if self._started is not None:
            if error is None:
                self._started.resolve(None)
            else:
                self._started.reject(error)

    def ended(self, reason: StopReason | BaseException) -> None:
        """The link reports the end, or the loss of the node: every wait ends with it.

        Args:
            reason: The reason of the end; for a lost node the error that says so.
        """
        if self.life is OVER:
            return
        self.life, self.reason = OVER, reason
        for ask in tuple(self._asks):
            ask.stopped(reason)
        self.has_started(reason if isinstance(reason, BaseException) else None)
        for promise in tuple(self._stops):
            promise.resolve(reason)
        if self._terminated is not None:
            self._terminated.resolve(reason)
        watchers, self.watchers = self.watchers, None
        for watcher in watchers or ():
            watcher.tell_terminated(self)


def _seen(written: "asyncio.Future[Any]") -> None:
    if not written.cancelled():
        written.exception()


class Link(Protocol):
    """The way to another node, for the `RemoteCell`s of the actors that live there.

    Everything that is handed to it arrives in this order, or not at all. It reports to the cell: `has_started(error)`
    and `ended(reason)` for one that it watches, and `ended(error)` for every one when the node is lost. It ends an ask
    with `answer` or `fail`, unless the ask has ended.
    """

    def deliver(self, cell: "RemoteCell", entry: Enveloped, message_id: str | None) -> "asyncio.Future[Any] | None":
        """Hand a message to the mailbox of the actor, with all that its envelope carries: the sender, the time that is
        left until the deadline, correlation id and trace. If the entry has an ask, its answer is wanted. With a message
        id a durable mailbox takes it once, however often it is delivered.

        Returns:
            With a message id, or for an actor that is known to be durable, and no ask, a future of the moment when it
            is on disk there; otherwise None.

        Raises:
            Exception: The message cannot be sent, whatever happens. The sender gets it.
        """

    def cancel(self, cell: "RemoteCell", ask: "Ask[Any]") -> "asyncio.Future[None] | None":
        """Cancel what runs there for an ask, which was cancelled here.

        Returns:
            A future of the moment when that has ended, as far as can be known here, or None.
        """

    def room(self, cell: "RemoteCell") -> Coroutine[Any, Any, None]:
        """Wait until the link takes one more message for the actor."""

    def stop(self, cell: "RemoteCell", promise: Promise[Any], *, reason: StopReason, drain: bool) -> None:
        """Ask the actor for an exit, and resolve `promise` with the exit's reason."""

    def watch(self, cell: "RemoteCell") -> None:
        """Report the start and the end of the actor to its cell, at once if they have been. Called once for a cell."""
