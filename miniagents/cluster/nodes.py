"""`ClusterNodes`: the other nodes, as one node knows them: which lives are lost, and the links to the others."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from miniagents.actors.cells.absent import AbsentCell, cell_of
from miniagents.actors.cells.remote_cell import RemoteCell
from miniagents.actors.messaging.identity import Identity, decoding_nodes
from miniagents.actors.messaging.ref import ActorRef
from miniagents.actors.observing.observer import Observer
from miniagents.actors.system import ActorSystem
from miniagents.agents.call_target import AgentRef
from miniagents.agents.decorator import miniagent
from miniagents.agents.host import AgentHost
from miniagents.agents.interaction_context import InteractionContext
from miniagents.agents.remote_agent_cell import RemoteAgentCell
from miniagents.cluster.channel import Channel
from miniagents.cluster.frames import decode_frame
from miniagents.cluster.hosting import Hosting
from miniagents.cluster.link import NodeLink
from miniagents.cluster.linked_journal import NUMBERS, LinkedJournal
from miniagents.cluster.placing import Placing
from miniagents.cluster.probing import Probing
from miniagents.cluster.serving import Serving
from miniagents.cluster.transport import LossCause, NodeId, Transport
from miniagents.errors import ActorStoppedError, DecodeError, NodeLostError
from miniagents.log import log as _log

if TYPE_CHECKING:
    from miniagents.actors.cells.cell import Cell


UNREACHED_AFTER = 3.0
"""Seconds without an acknowledgement after which a node is said to be out of reach."""


@miniagent
async def elsewhere(ctx: InteractionContext, **arguments: object) -> None:
    """An agent of another node. Its arguments are checked there."""
    raise ActorStoppedError(f"{ctx.this_agent.alias}: lives on another node")


class Peer:
    """One life of another node: the channel to it, and the two sides of the link.

    Args:
        nodes: The nodes, as this one knows them.
        there: The other node.
    """

    def __init__(self, nodes: "ClusterNodes", there: NodeId) -> None:
        self.channel = Channel(nodes.here, there, nodes.transport, nodes.loop, self._take, nodes.may_send)
        self.link = NodeLink(nodes, there, self.channel)
        self.serving = Serving(nodes, self.channel)

    def _take(self, parts: list[Any]) -> None:
        try:
            if not self.link.received(parts):
                self.serving.received(parts)
        except DecodeError as error:
            _log.error("link.unreadable_item", node=str(self.link.there), error=str(error))

    def lost(self, error: BaseException) -> None:
        """End all that is under way in both directions."""
        self.link.lost(error)
        self.serving.lost(error)

    @property
    def open(self) -> int:
        """How much is under way."""
        return self.link.open + self.serving.open


class ClusterNodes(Observer):
    """The other nodes, as one node knows them.

    A link to a life of a node is made with the first frame from it, or the first message to it, and goes with the loss
    of that life. Frames of a lost life, and frames for another life of this node, are thrown away.

    Args:
        here: This node.
        system: The system of this node.
        transport: The way of the frames.
        loop: The loop of this node.
        may_send: Returns False once this node must not say anything any more.

    Attributes:
        hosting: The actors that other nodes have placed on this one.
        probing: The search for cycles of waits over several nodes.
        journal: The journal of the driver, as this node uses it; None on the driver, and if that has none.
        placing: The actors that this node has placed on others.
        refused: The number of frames that were thrown away because of their epochs.
    """

    def __init__(
        self,
        here: NodeId,
        system: ActorSystem,
        transport: Transport,
        loop: asyncio.AbstractEventLoop,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self.here = here
        self.system = system
        self.transport = transport
        self.loop = loop
        self.may_send = may_send
        self.refused = 0
        self.hosting = Hosting(self)
        self.placing = Placing(self)
        self.probing = Probing(self)
        self.journal: LinkedJournal | None = None
        self._peers: dict[NodeId, Peer] = {}
        self._lost_epochs: dict[str, int] = {}
        self._local: dict[int, Cell] = {}
        self._remote: WeakValueDictionary[tuple[NodeId, int], RemoteCell] = WeakValueDictionary()
        transport.receive = self.received
        system.observers.attach(self)

    # Actors

    def local(self, path: str, uid: int) -> "Cell | None":
        """Return the cell of an actor of this node, or None if it has ended."""
        cell = self._local.get(uid)
        if cell is None:
            ref = self.system.lookup(path)
            found = cell_of(ref) if ref is not None else None
            if found is None or found.uid != uid:
                return None
            cell = self._local[uid] = found
        return cell

    def host(self, cell: "Cell") -> None:
        """Let an actor be found that has another path in the tree of this node than its own."""
        self._local[cell.uid] = cell

    def actor_ended(self, cell: Any) -> None:
        """Forget an actor of this node that has ended."""
        if self._local.pop(cell.uid, None) is not None:
            for peer in self._peers.values():
                peer.serving.forget(cell.uid)
        self.hosting.ended(cell)

    def find(self, identity: Identity, kind: type[Any]) -> Any:
        """Return the cell of an actor of any node; None if it, or its node, has ended."""
        node = NodeId(identity.node, identity.epoch)
        if node == self.here:
            cell = self.local(identity.path, identity.uid)
            return cell if cell is not None and cell.identity == identity else None
        if self.is_lost(node) or not node.name or node.name == self.here.name:
            return None
        remote = self._remote.get((node, identity.uid))
        if remote is None:
            remote = self._remote[node, identity.uid] = self._new_cell(identity, node, kind)
        return remote

    def _new_cell(self, identity: Identity, node: NodeId, kind: type[Any]) -> RemoteCell:
        link = self.peer(node).link
        if issubclass(kind, AgentRef) and isinstance(self.system, AgentHost):
            agent = elsewhere.fork(alias=identity.path.rpartition("/")[2])
            return RemoteAgentCell(self.system, identity, link, agent)
        return RemoteCell(self.system, identity, link)

    def known(self, node: NodeId, uid: int) -> RemoteCell | None:
        """Return the cell here of an actor of another node, if anything here uses it."""
        return self._remote.get((node, uid))

    def known_of(self, node: NodeId) -> list[RemoteCell]:
        """Return the cells here of all actors of a node, in the order of their uids."""
        return sorted((cell for (of, _), cell in self._remote.items() if of == node), key=lambda cell: cell.uid)

    def ended_ref(self, path: str, uid: int) -> ActorRef:
        """Return a reference to an actor of this node that has ended."""
        identity = Identity(self.system.id, self.here.name, self.here.epoch, path, uid)
        return AbsentCell(identity, ActorRef).ref

    def new_numbers(self) -> int | None:
        """Return the first of new numbers, on the driver, for a node that gets an actor. They are larger than what the
        last place of the actor has given to its messages."""
        journal = self.system.journal
        return journal.next_id(NUMBERS) if journal is not None and self.journal is None else None

    # Nodes

    def peer(self, node: NodeId) -> Peer:
        """Return the link to a life of a node that is not lost; it is made with its first use."""
        peer = self._peers.get(node)
        if peer is None:
            # A node is replaced once its lease has lapsed, and not before: all older lives are lost, also those that
            # nothing was heard of, whose frames may still be on their way.
            for other in [known for known in self._peers if known.name == node.name and known.epoch < node.epoch]:
                self.lost(other, LossCause.UNKNOWN)
            self._lost_epochs[node.name] = max(self._lost_epochs.get(node.name, 0), node.epoch - 1)
            peer = self._peers[node] = Peer(self, node)
        return peer

    def is_lost(self, node: NodeId) -> bool:
        """Return True if that life of a node is lost."""
        return node.epoch <= self._lost_epochs.get(node.name, 0)

    def lost(self, node: NodeId, cause: LossCause, error: NodeLostError | None = None) -> None:
        """End all that waits for a life of a node, and forget it. Saying so again is harmless.

        Args:
            node: The node.
            cause: The cause of the loss.
            error: What the waits end with; by default a `NodeLostError` that names node and cause.
        """
        if self.is_lost(node):
            return
        self._lost_epochs[node.name] = node.epoch
        peer = self._peers.pop(node, None)
        if peer is not None:
            peer.lost(error if error is not None else node_lost(node, cause))

    def received(self, _: NodeId, data: bytes) -> None:
        """Take a frame. The transport calls this."""
        if not self.may_send():
            return
        try:
            frame = decode_frame(data)
        except DecodeError as error:
            _log.error("link.unreadable_frame", error=str(error))
            return
        source = NodeId(frame.source, frame.source_epoch)
        if frame.epoch != self.here.epoch or self.is_lost(source):
            self.refused += 1
            return
        token = decoding_nodes.set(self)
        try:
            self.peer(source).channel.received(frame)
        finally:
            decoding_nodes.reset(token)

    def close(self) -> None:
        """End all links: this node ends."""
        self.probing.close()
        self.system.observers.detach(self)
        error = NodeLostError(f"node {self.here.name!r} ends", node=self.here.name, cause=LossCause.UNKNOWN.value)
        for node in tuple(self._peers):
            self._peers.pop(node).lost(error)
        if self.journal is not None:
            self.journal.lost(error)

    def unreached(self, now: float) -> tuple[str, ...]:
        """Return the names of the nodes that have acknowledged nothing for `UNREACHED_AFTER` seconds, in which this one
        has tried again and again. Called from any thread."""
        since = {node.name: peer.channel.unreached_since for node, peer in tuple(self._peers.items())}
        return tuple(name for name, at in since.items() if at is not None and now - at > UNREACHED_AFTER)

    @property
    def open(self) -> int:
        """How much is under way with all other nodes."""
        return sum(peer.open for peer in self._peers.values())

    @property
    def peers(self) -> tuple[NodeId, ...]:
        """The nodes to which there are links."""
        return tuple(self._peers)


def node_lost(node: NodeId, cause: LossCause) -> NodeLostError:
    """Return the error that says that a life of a node is lost."""
    return NodeLostError(
        f"node {node.name!r} (epoch {node.epoch}) is lost: {cause.value}", node=node.name, cause=cause.value
    )
