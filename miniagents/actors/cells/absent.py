"""References that travel: as bytes, and what they are where their actor does not live."""

import copyreg
from functools import partial
from typing import TYPE_CHECKING, Any

from miniagents.actors.cells.cell_state import State
from miniagents.actors.cells.stand_in import StandIn
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.entries import Enveloped
from miniagents.actors.messaging.identity import Identity, decoding_nodes, find, system_of
from miniagents.actors.messaging.ref import ActorRef
from miniagents.actors.waiting.termination import ENDED
from miniagents.errors import ActorStoppedError, NoActiveSystemError
from miniagents.messages import register_wire_type
from miniagents.promising import Promise, PromisingContext
from miniagents.supervision.lifecycle import OVER

if TYPE_CHECKING:
    from miniagents.actors.cells.cell import Cell
    from miniagents.actors.messaging.identity import Nodes


class AbsentCell(StandIn):
    """In the place of the cell of an actor that does not live here: it has ended, or its system runs elsewhere."""

    __slots__ = ()

    life = OVER
    state = State.STOPPED
    stopping = ENDED
    is_alive = False
    watchers: "dict[Cell, None] | None" = None

    @property
    def reason(self) -> ActorStoppedError:
        """Why it ended is not known: an error that says that it is not here."""
        return ActorStoppedError(
            f"{self.path}: does not live here: it has ended, or its system ({self.identity.system}) runs elsewhere",
            path=self.path,
        )

    @property
    def system(self) -> Any:
        """The system that gets what is sent to it: its own, if that runs here, otherwise the current one.

        Raises:
            ActorStoppedError: There is none.
        """
        system: Any = system_of(self.identity)
        if system is None:
            try:
                system = PromisingContext.get_current()
            except NoActiveSystemError as error:
                raise self.reason from error
        return system

    def post(self, envelope: Enveloped) -> None:
        """Make the message a dead letter; an ask fails."""
        envelope.taken = True
        if envelope.ask is not None:
            envelope.ask.fail(self.reason)
        self.system.dead_letters.add(DeadLetterReason.STOPPED, envelope, self.ref)

    async def room(self) -> None:
        """Return at once: there is no mailbox."""

    def ask_cancelled(self, ask: object) -> None:
        """Do nothing: the ask has failed already."""

    def stop(self, **_: object) -> Promise[Any]:
        """Return the promise of the end, as `terminated` does."""
        return self.terminated()

    def start_again(self) -> Promise[None]:
        """Return a promise that has failed, as `started` does."""
        return self.started()

    def started(self) -> Promise[None]:
        """Return a promise that has failed: the actor did not start here."""
        promise: Promise[None] = Promise()
        promise.reject(self.reason)
        return promise

    def terminated(self) -> Promise[Any]:
        """Return a promise that has resolved: the actor has ended, as far as can be known here."""
        promise: Promise[Any] = Promise()
        promise.resolve(self.reason)
        return promise


def cell_of(ref: ActorRef) -> "Cell":
    """Return the cell that a reference leads to: a `Cell`, or what stands for one that is not here."""
    return ref._cell  # type: ignore[return-value]  # noqa: SLF001 - what stands for a cell does what a cell that has ended does


def let_travel(kind: type[ActorRef], tag: str, cell: type[AbsentCell] = AbsentCell) -> None:
    """Let references of a class be parts of messages that are encoded, and of what is copied or pickled. Decoded, one
    is the reference itself where its actor lives; elsewhere it is equal to it, and not alive.

    Args:
        kind: The class.
        tag: Its name on the wire.
        cell: Makes what stands for an actor that does not live where the bytes are decoded.
    """
    from_wire = partial(_from_wire, kind, cell)
    register_wire_type(kind, tag, _to_wire, from_wire)
    copyreg.pickle(kind, lambda ref: (from_wire, (_to_wire(ref),)))


def _to_wire(ref: ActorRef) -> tuple[Any, ...]:
    return tuple(cell_of(ref).identity)


def _nodes_of_current_system() -> "Nodes | None":
    """Return the nodes of the cluster that the current system spans, if there is one."""
    try:
        system: Any = PromisingContext.get_current()
    except NoActiveSystemError:
        return None
    placing = getattr(system, "placing", None)
    return placing.nodes if placing is not None else None


def _from_wire(kind: type[ActorRef], cell: type[AbsentCell], data: Any) -> ActorRef:
    identity = Identity(*data)
    for value, expected in zip(identity, (str, str, int, str, int), strict=True):
        if type(value) is not expected:
            raise TypeError(f"a {type(value).__name__} where a {expected.__name__} should be")
    nodes = decoding_nodes.get()
    if nodes is None and identity.node:
        nodes = _nodes_of_current_system()
    found = find(identity) if nodes is None else nodes.find(identity, kind)
    return found.ref if found is not None else cell(identity, kind).ref
