"""`Hosting`: the actors that other nodes have placed on this one.

Such an actor lives in the tree of the node that placed it, under a supervisor there. Here it is a cell like any other,
with its mailbox. What its supervisor decides comes as an item, and each exit is reported to the other node, whose
supervisor judges it. Whether an exit will be answered by a restart is known here from the restart type, so that the
mailbox stays open meanwhile.
"""

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.messaging.identity import Identity
from miniagents.actors.messaging.ref import ActorRef
from miniagents.agents.activation import ActivationRoot
from miniagents.cluster import items
from miniagents.cluster.channel import Channel
from miniagents.cluster.frames import pack
from miniagents.cluster.names import factory_from_wire, options_from_wire
from miniagents.errors import ActorStoppedError, DecodeError, InvalidOptionError, NodeLostError
from miniagents.journal import StoredEnvelope
from miniagents.log import log as _log
from miniagents.messages import decode
from miniagents.promising import Promise
from miniagents.supervision import ChildSpec, Restart, Shutdown, StopReason, answers

if TYPE_CHECKING:
    from miniagents.cluster.nodes import ClusterNodes

# What is asked of a placed actor
RESUME = "resume"
SUSPEND = "suspend"
TERMINATE = "terminate"
CANCEL_START = "cancel start"

# What has happened to one
STARTED = "started"
UNSTARTED = "unstarted"
DOWN = "down"
SUSPENDED = "suspended"

SPAWNED = ""
"""In the place of a restart type: a child that an actor with a strategy has spawned, which is restarted after a
crash."""


class Order(NamedTuple):
    """An actor that is to be started here.

    Attributes:
        uid: Its number, given out by the node that places it.
        path: Its path in the tree of that node.
        parent: The reference of its parent; None at the top of the tree.
        factory: What it is made of, as `factory_to_wire` has made it.
        options: Its options, as `options_to_wire` has made them.
        restart: The value of its restart type, or `SPAWNED`; None for an actor without a supervisor, which restarts
            by itself.
        shutdown: Seconds that it gets to end, or None.
    """

    uid: int
    path: str
    parent: ActorRef | None
    factory: Any
    options: Any
    restart: str | None
    shutdown: float | None


class ParentElsewhere(ActivationRoot):
    """The cell above the actors that one actor of another node has placed here."""

    __slots__ = ("_parent_ref",)

    def __init__(self, system: Any, parent: Cell, parent_ref: ActorRef) -> None:
        super().__init__(system, parent, f"{parent_ref.node} {parent_ref.uid}")
        self._parent_ref = parent_ref

    @property
    def path(self) -> str:
        """The path of the parent, in the tree of its node."""
        return self._parent_ref.path

    def new_ref(self) -> ActorRef:
        """Return the reference of the parent."""
        return self._parent_ref


class Hosted:
    """One actor that another node has placed here, in the place of its supervisor there.

    Args:
        channel: The way to that node.
        cell: The actor.
        restart: As in `Order`.
    """

    def __init__(self, channel: Channel, cell: LivingCell, restart: str | None) -> None:
        self.channel = channel
        self.cell = cell
        self._restart = restart
        if restart is not None:
            cell.supervisor = self

    def report(self, what: str, reason: "StopReason | BaseException | None" = None) -> None:
        """Tell the node of the supervisor what has happened."""
        data = items.reason_to_wire(reason) if reason is not None else None
        self.channel.send(pack([items.CHILD_REPORT, self.cell.uid, what, data]))

    def start_reported(self, error: BaseException | None) -> None:
        """A start, or a restart, has succeeded or failed."""
        if error is None:
            self.report(STARTED)
        elif self.cell.is_alive:
            self.report(UNSTARTED, error)  # it stays, with its mailbox; after a first start its end is reported

    # As the cell sees its supervisor

    def adopt(self, cell: Any) -> None:
        """Never called: it has one child."""
        raise NotImplementedError

    def answers(self, cell: Any, reason: StopReason | BaseException) -> bool:
        """Return True if the actor is restarted after such an exit, as far as its restart type says."""
        if self.channel.is_closed:
            return False
        if self._restart == SPAWNED:
            return isinstance(reason, BaseException)
        return answers(Restart(self._restart), reason)

    def start_again(self, cell: Any) -> Promise[None]:
        """Refuse a restart by hand: the supervisor of the actor, on another node, would not know of it."""
        promise: Promise[None] = Promise()
        promise.reject(InvalidOptionError(f"{cell.path}: its supervisor is on another node: restart() it there"))
        return promise

    def child_down(self, cell: Any, reason: StopReason | BaseException) -> None:
        """The actor has exited; its supervisor decides."""
        self.report(DOWN, reason)

    def child_ended(self, cell: Any, reason: StopReason | BaseException) -> None:
        """Do nothing: the end is reported to all who watch the actor."""

    async def stop_all(self) -> None:
        """Never called: the cells above end their children."""
        raise NotImplementedError


class Hosting:
    """The actors that other nodes have placed on this one.

    Args:
        nodes: The nodes, as this one knows them.
    """

    def __init__(self, nodes: "ClusterNodes") -> None:
        self._nodes = nodes
        self._hosted: dict[int, Hosted] = {}
        self._parents: dict[tuple[str, int, int], ParentElsewhere] = {}

    def __len__(self) -> int:
        return len(self._hosted)

    def spawn(self, channel: Channel, order: Order) -> None:
        """Start an actor. One that cannot be made here has ended at once, for this reason."""
        try:
            cell = self._new_cell(channel, order)
        except Exception as error:
            _log.error("node.not_spawned", actor=order.path, error=repr(error))
            failed = ActorStoppedError(
                f"{order.path}: cannot be started on node {self._nodes.here.name!r}: {error}", path=order.path
            )
            channel.send(pack([items.CHILD_REPORT, order.uid, UNSTARTED, items.error_to_wire(failed)]))
            return
        hosted = self._hosted[cell.uid] = Hosted(channel, cell, order.restart)
        cell.on_started = hosted.start_reported
        cell.begin()

    def _new_cell(self, channel: Channel, order: Order) -> LivingCell:
        system: Any = self._nodes.system
        actor, arguments = factory_from_wire(order.factory)
        above = self._above(order.parent)
        name = order.path.rpartition("/")[2]
        cell: LivingCell = system.new_cell(above, actor, name, options_from_wire(order.options), arguments)
        cell.uid = order.uid
        cell.shutdown = order.shutdown
        if order.restart:
            shutdown = order.shutdown if order.shutdown is not None else Shutdown.FOREVER
            cell.spec = ChildSpec(name, actor, restart=Restart(order.restart), shutdown=shutdown)
        above.add_child(cell)
        self._nodes.host(cell)
        if cell.is_durable:
            home = Identity(system.id, channel.there.name, channel.there.epoch, cell.path, cell.uid)
            cell.be_known_as(self._nodes.find(home, ActorRef).ref)
        return cell

    def _above(self, parent: ActorRef | None) -> Cell:
        root = self._nodes.system.root
        if parent is None:
            return root
        above = self._parents.get(_key(parent))
        if above is None:
            above = self._parents[_key(parent)] = ParentElsewhere(self._nodes.system, root, parent)
            root.add_child(above)
            above.begin()
        return above

    def asked(self, uid: int, what: str, reason: "StopReason | BaseException | None") -> None:
        """Do what the supervisor of an actor has decided. One that has ended meanwhile has been reported."""
        hosted = self._hosted.get(uid)
        if hosted is None:
            return
        cell = hosted.cell
        match what:
            case "resume":
                cell.resume(reason if reason is not None else StopReason.SHUTDOWN, hosted.start_reported)
            case "suspend":
                cell.suspend().add_done_callback(lambda _: hosted.report(SUSPENDED))
            case "terminate":
                cell.terminate(reason if reason is not None else StopReason.SHUTDOWN)
            case "cancel start":
                cell.cancel_start()

    def resent(self, uid: int, mail: StoredEnvelope) -> None:
        """Let a durable actor take a dead letter that was sent again. One that has ended leaves it in the journal."""
        hosted = self._hosted.get(uid)
        inbox: Any = hosted.cell.inbox if hosted is not None else None
        if inbox is not None:
            with contextlib.suppress(DecodeError):  # the next start buries it again
                inbox.take_resent(mail, decode(mail.body))

    def ended(self, cell: Any) -> None:
        """Forget an actor that has ended, and the cell above it with its last child."""
        if self._hosted.pop(cell.uid, None) is None:
            return
        above = cell.parent
        if isinstance(above, ParentElsewhere) and not above.children:
            key = _key(above.ref)
            if self._parents.get(key) is above:
                del self._parents[key]
            above.terminate()

    def lost(self, channel: Channel, error: BaseException) -> None:
        """End the actors that a node has placed here, since it is lost: nobody supervises them any more."""
        for hosted in [hosted for hosted in self._hosted.values() if hosted.channel is channel]:
            reason = error if isinstance(error, NodeLostError) else StopReason.SHUTDOWN
            hosted.cell.terminate(reason)


def _key(parent: ActorRef) -> tuple[str, int, int]:
    return parent.node, parent.epoch, parent.uid
