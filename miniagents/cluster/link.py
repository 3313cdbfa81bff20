"""`NodeLink`: the link to one life of another node, as the `RemoteCell`s of the actors that live there use it.

The link sends what is asked of it as items of a channel, and ends every wait that it has begun: by an item that comes
back, or by `lost`. What the other node asks of this one is for `Serving`.
"""

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from miniagents.actors.cells.remote_cell import RemoteCell
from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.entries import Enveloped
from miniagents.actors.messaging.identity import Identity
from miniagents.actors.messaging.mailbox import Overflow
from miniagents.cluster import items
from miniagents.cluster.channel import Channel, Queued
from miniagents.cluster.frames import check_size, pack
from miniagents.cluster.overflow import LinkOverflow
from miniagents.cluster.remote_call import RemoteCall
from miniagents.cluster.transport import NodeId
from miniagents.errors import ActorStoppedError, DecodeError
from miniagents.messages import encode
from miniagents.promising import Promise
from miniagents.supervision import StopReason

if TYPE_CHECKING:
    from miniagents.agents.interaction import Interaction
    from miniagents.agents.interaction_context import InteractionContext
    from miniagents.agents.remote_agent_cell import RemoteAgentCell
    from miniagents.cluster.nodes import ClusterNodes
    from miniagents.cluster.probing import Edge


UNNAMED = ""
"""In the place of a message id: the message counts anew each time, but its sender waits until it is on disk."""


class NodeLink:
    """The link to one life of another node.

    Args:
        nodes: The nodes, as this one knows them.
        there: The other node.
        channel: The way to it.
    """

    def __init__(self, nodes: "ClusterNodes", there: NodeId, channel: Channel) -> None:
        self.there = there
        self.channel = channel
        self._lost: BaseException | None = None
        self._nodes = nodes
        self._system = nodes.system
        self._numbers = itertools.count(1)
        # What an item from there ends, by its number
        self._asks: dict[int, Ask[Any]] = {}
        self._stops: dict[int, Promise[Any]] = {}
        self._futures: dict[int, asyncio.Future[None]] = {}  # of cancels, and of room in mailboxes
        self._writes: dict[int, asyncio.Future[bool]] = {}  # of messages with an id
        self._asked: dict[Ask[Any], tuple[int, tuple[Queued, ...]]] = {}  # the questions that a cancel withdraws
        self._calls: dict[int, RemoteCall] = {}
        self._called: dict[Interaction, int] = {}  # the numbers of the calls, along which probes are sent
        self._watched: dict[Identity, RemoteCell] = {}
        self._overflow = LinkOverflow(there.name, channel, nodes.system.dead_letters)
        self._durable: set[int] = set()  # the uids of actors that keep their messages on disk
        self._unbounded: set[int] = set()  # the uids of actors whose mailboxes have no capacity

    @property
    def open(self) -> int:
        """How much is under way."""
        waits = len(self._asks) + len(self._asked) + len(self._stops) + len(self._futures) + len(self._writes)
        return waits + len(self._calls)

    @property
    def watched(self) -> int:
        """The number of actors there that are watched from here."""
        return len(self._watched)

    # As the cells use it

    def deliver(
        self, cell: RemoteCell, entry: Enveloped, message_id: str | None = None
    ) -> "asyncio.Future[bool] | None":
        """Send a message; see `Link.deliver`."""
        path = cell.path
        if self.channel.is_full and not self._overflow.makes_room(cell, entry):
            return None
        message = msgspec.Raw(encode(entry.message))
        left = entry.deadline - self._system.time() if entry.deadline is not None else None
        sender = items.value_to_wire(entry.sender, "sender") if entry.sender is not None else None
        trace = entry.trace if isinstance(entry.trace, str) else None
        if entry.__class__ is not Ask and message_id is None and cell.uid in self._durable:
            message_id = UNNAMED
        if entry.__class__ is not Ask and message_id is None:
            data = pack([items.TELL, path, cell.uid, message, sender, left, trace])
            check_size(data, path)
            queued = self.channel.send(data)
            if cell.overflow is Overflow.DROP_OLDEST:
                self._overflow.queued(cell, entry, queued)
            return None
        number = next(self._numbers)
        kind = items.ASK if entry.__class__ is Ask else items.SEND_ONCE
        data = pack([kind, number, path, cell.uid, message, sender, left, trace, message_id])
        check_size(data, path)
        queued = self.channel.send(data)
        if isinstance(entry, Ask):
            if cell.overflow is Overflow.DROP_OLDEST:
                self._overflow.queued(cell, entry, queued)
            self._asks[number] = entry
            if message_id is None:
                self._asked[entry] = number, queued
                if entry.sender is not None and not entry.own_timeout:
                    self._nodes.probing.asked(entry)
            entry.add_done_callback(lambda ask: self._ask_ended(number, ask))
            return None
        written = self._writes[number] = self._system.loop.create_future()
        return written

    def _ask_ended(self, number: int, ask: Any) -> None:
        self._asks.pop(number, None)
        self._nodes.probing.ended(ask)
        sent = self._asked.pop(ask, None)
        if sent is not None:
            self.channel.withdraw(sent[1])  # its deadline has passed, perhaps, before it could leave

    def number_of(self, edge: "Edge") -> int | None:
        """Return the number of an ask or a call that is under way, or None."""
        if isinstance(edge, Ask):
            sent = self._asked.get(edge)
            return sent[0] if sent is not None else None
        return self._called.get(edge)

    def cancel(self, cell: RemoteCell, ask: Ask[Any]) -> "asyncio.Future[None] | None":
        """Cancel what runs for an ask there; see `Link.cancel`."""
        sent = self._asked.pop(ask, None)
        if sent is None:
            return None
        number, queued = sent
        self._asks.pop(number, None)
        if self.channel.withdraw(queued):
            return None  # the other node has never heard of it
        ended: asyncio.Future[None] = self._system.loop.create_future()
        self._futures[number] = ended
        self.channel.send(pack([items.CANCEL, number]), control=True)
        return ended

    async def room(self, cell: RemoteCell) -> None:
        """Wait until the channel and the mailbox there have room."""
        await self.channel.room()
        if cell.uid in self._unbounded or self._lost is not None:
            return
        number = next(self._numbers)
        room: asyncio.Future[None] = self._system.loop.create_future()
        self._futures[number] = room
        self.channel.send(pack([items.ROOM, number, cell.path, cell.uid]))
        try:
            await room
        except asyncio.CancelledError:
            self.channel.send(pack([items.CANCEL, number]), control=True)
            raise
        finally:
            self._futures.pop(number, None)
        await self.channel.room()  # the room in the mailbox was waited for, and meanwhile others have sent

    def stop(self, cell: RemoteCell, promise: Promise[Any], *, reason: StopReason, drain: bool) -> None:
        """Ask an actor for its exit. One that is to drain its mailbox comes behind the messages before it."""
        number = next(self._numbers)
        self._stops[number] = promise
        promise.add_done_callback(lambda _: self._stop_ended(number))
        data = pack([items.STOP, number, cell.path, cell.uid, reason.value, drain])
        self.channel.send(data, control=not drain)

    def _stop_ended(self, number: int) -> None:
        self._stops.pop(number, None)

    def watch(self, cell: RemoteCell) -> None:
        """Have the start and the end of an actor reported."""
        self._watched[cell.identity] = cell
        self.channel.send(pack([items.WATCH, cell.path, cell.uid]))

    async def serve(self, cell: "RemoteAgentCell", ctx: "InteractionContext", arguments: Any) -> None:
        """Make the code of a call; see `AgentLink.serve`."""
        number = next(self._numbers)
        call = RemoteCall(self.channel, cell.path, number, ctx)
        if self._lost is not None:  # between the call and this, its code
            call.lost(self._lost)
        interaction = ctx.interaction
        self._calls[number] = call
        self._called[interaction] = number
        if interaction.sender is not None and not interaction.own_timeout:
            self._nodes.probing.asked(interaction)
        try:
            await call.run(cell.uid, arguments)
        finally:
            del self._calls[number], self._called[interaction]
            self._nodes.probing.ended(interaction)

    # What comes from there

    def received(self, parts: list[Any]) -> bool:
        """Take an item, if it answers something that this node has begun.

        Returns:
            False for an item of another kind.

        Raises:
            DecodeError: The item cannot be read.
        """
        if parts[0] in _OF_CALLS:
            call = self._calls.get(parts[1])
            if call is not None:
                call.received(parts)
            return True
        return items.take(_ANSWERS, self, parts)

    def _answered(self, number: int, data: Any) -> None:
        ask = self._asks.pop(number, None)
        if ask is not None:
            try:
                ask.answer(items.value_from_wire(data))
            except DecodeError as error:
                ask.fail(error)

    def _failed(self, number: int, data: Any) -> None:
        ask, write = self._asks.pop(number, None), self._writes.pop(number, None)
        try:
            error = items.error_from_wire(data)
        except DecodeError as unreadable:
            error = unreadable
        if ask is not None:
            ask.fail(error)
        elif write is not None and not write.done():
            write.set_exception(error)

    def _done(self, number: int) -> None:
        write, future = self._writes.pop(number, None), self._futures.pop(number, None)
        if write is not None and not write.done():
            write.set_result(True)
        if future is not None and not future.done():
            future.set_result(None)

    def _is_unbounded(self, number: int, uid: int) -> None:
        self._unbounded.add(uid)
        self._done(number)

    def _overflows(self, uid: int, policy: str) -> None:
        cell = self._nodes.known(self.there, uid)
        if cell is not None:
            cell.heed(Overflow(policy))

    def _is_durable(self, uid: int) -> None:
        self._durable.add(uid)

    def _stopped(self, number: int, data: Any) -> None:
        promise = self._stops.pop(number, None)
        if promise is not None:
            promise.resolve(_reason(data))

    def _has_started(self, path: str, uid: int, data: Any) -> None:
        cell = self._nodes.known(self.there, uid)
        if cell is not None:
            cell.has_started(items.error_from_wire(data) if data is not None else None)

    def _has_ended(self, path: str, uid: int, data: Any) -> None:
        self._unbounded.discard(uid)
        self._overflow.forget(uid)
        self._durable.discard(uid)
        cell = self._nodes.known(self.there, uid)
        if cell is not None:
            self._watched.pop(cell.identity, None)
            cell.ended(_reason(data))

    def _child_reported(self, uid: int, what: str, data: Any) -> None:
        self._nodes.placing.reported(uid, what, _reason(data) if data is not None else None)

    def _journal_answered(self, number: int, result: Any, first: int | None) -> None:
        journal = self._nodes.journal
        if journal is not None:
            journal.answered(number, result, first)

    def _journal_failed(self, number: int, data: Any) -> None:
        journal = self._nodes.journal
        if journal is not None:
            journal.failed(number, items.error_from_wire(data))

    # The end

    def lost(self, error: BaseException) -> None:
        """End every wait: the node is lost, or this one ends."""
        if self._lost is not None:
            return
        self._lost = error
        self.channel.close()
        for cell in self._nodes.known_of(self.there):
            cell.ended(error)
        for number in tuple(self._futures):
            self._done(number)
        for number, write in tuple(self._writes.items()):
            del self._writes[number]
            if not write.done():
                write.set_exception(_never_acknowledged(self.there, error))
        for call in tuple(self._calls.values()):
            call.lost(error)
        self._watched.clear()
        self._unbounded.clear()
        self._durable.clear()


def _never_acknowledged(node: NodeId, error: BaseException) -> ActorStoppedError:
    unsure = ActorStoppedError(
        f"node {node.name!r} was lost before it had acknowledged the message; send it again under its message id"
    )
    unsure.__cause__ = error
    return unsure


def _reason(data: Any) -> StopReason | BaseException:
    """Return the reason of an end, whatever the data are: the end is a fact."""
    try:
        return items.reason_from_wire(data)
    except DecodeError as error:
        return error


_ANSWERS: items.Takers = {
    items.ANSWER: (NodeLink._answered, 2),  # noqa: SLF001 - the table of this class
    items.FAILED: (NodeLink._failed, 2),  # noqa: SLF001
    items.DONE: (NodeLink._done, 1),  # noqa: SLF001
    items.OVERFLOW: (NodeLink._overflows, 2),  # noqa: SLF001
    items.DURABLE: (NodeLink._is_durable, 1),  # noqa: SLF001
    items.UNBOUNDED: (NodeLink._is_unbounded, 2),  # noqa: SLF001
    items.STOPPED: (NodeLink._stopped, 2),  # noqa: SLF001
    items.STARTED: (NodeLink._has_started, 3),  # noqa: SLF001
    items.ENDED: (NodeLink._has_ended, 3),  # noqa: SLF001
    items.JOURNAL_ANSWER: (NodeLink._journal_answered, 3),  # noqa: SLF001
    items.JOURNAL_FAILED: (NodeLink._journal_failed, 2),  # noqa: SLF001
    items.CHILD_REPORT: (NodeLink._child_reported, 3),  # noqa: SLF001
}
"""What takes an item of each kind, and how many fields it has."""

_OF_CALLS = frozenset(
    {
        items.REPLY,
        items.REPLY_BEGINS,
        items.TOKEN,
        items.REPLY_ENDS,
        items.REPLY_FAILED,
        items.CALL_ENDED,
    }
)
