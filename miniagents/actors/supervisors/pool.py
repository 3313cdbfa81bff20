"""Pools at work: a supervisor that hands every message on to one of its children, without a hop in between."""

from typing import TYPE_CHECKING, Any

from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.receiving_cell import ReceivingCell
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.entries import BARRIER, Enveloped
from miniagents.actors.messaging.options import Props
from miniagents.actors.supervisors.supervisor_cell import SupervisorCell
from miniagents.supervision import Pool, Routing
from miniagents.supervision.lifecycle import Phase
from miniagents.supervision.routing import HashRing, RoundRobin

if TYPE_CHECKING:
    from miniagents.actors.cells.cell_ports import System
    from miniagents.actors.ports import Writing


class PoolCell(SupervisorCell):
    """The cell of one `Pool`. While its members start, or a restart is due, it keeps what comes in its own mailbox.

    Args:
        system: Its system.
        parent: The cell that it is a child of.
        name: Its name.
        props: Options, which a supervisor has none of.
        supervisor_spec: What it is made of.
    """

    __slots__ = ("_ring", "_turns")

    kind = "pool"

    supervisor_spec: Pool

    def __init__(self, system: "System", parent: Cell, name: str, props: Props, supervisor_spec: Pool) -> None:
        super().__init__(system, parent, name, props, supervisor_spec)
        self._turns = RoundRobin()
        self._ring = HashRing(len(supervisor_spec.children))

    @property
    def is_open(self) -> bool:
        """True if the members have started, and the pool is not about to end."""
        return self.life.phase is Phase.UP and self.stopping is None

    def post(self, envelope: Enveloped) -> "Writing | None":
        """Hand a message on to a member.

        Raises:
            Exception: What `key=` raised; an ask fails with it instead.
        """
        if self.is_open:
            return self._hand_on(envelope)
        return ReceivingCell.post(self, envelope)

    def _hand_on(self, envelope: Enveloped) -> "Writing | None":
        ask = envelope.ask
        try:
            member = self.pick(envelope.message)
        except Exception as error:  # of the user's `key=`
            if ask is None:
                raise
            ask.fail(error)
            return None
        if member is None:
            self._refuse(envelope)
            return None
        if ask is not None:
            ask.cell = member
            ask.producer = member if member.is_serial else None
        return member.post(envelope)  # type: ignore[no-any-return]

    def _refuse(self, envelope: Enveloped) -> None:
        """Refuse a message that belongs to no member."""
        envelope.taken = True
        if envelope.ask is not None:
            envelope.ask.stopped("no member runs")
        self.system.dead_letters.add(DeadLetterReason.STOPPED, envelope, self.ref)

    def report_started(self) -> None:
        """The members run: hand on what came meanwhile."""
        super().report_started()
        if self.queue is not None:
            waiting, self.queue, self.dead_entries = self.waiting(), None, 0
            for entry in waiting:
                if entry.message is BARRIER and entry.ask is not None:
                    entry.ask.answer(None)
                else:
                    self._hand_on(entry)

    def route(self, message: object) -> Cell:
        """The member that gets a message; itself while it keeps what comes, or where there is no such member."""
        member: Cell | None = self.pick(message) if self.is_open else None
        return member if member is not None else self

    def pick(self, message: Any) -> Any:
        """The member that gets a message, or None."""
        children = self.children
        if not children:
            return None
        pool = self.supervisor_spec
        if pool.routing is Routing.CONSISTENT_HASH:
            assert pool.key is not None  # the pool has checked it
            return children.get(str(self._ring.pick(pool.key(message)) + 1))
        members = list(children.values())
        if pool.routing is Routing.LEAST_LOADED:
            return members[self._turns.pick_least([member.load for member in members])]
        return members[self._turns.pick(len(members))]
