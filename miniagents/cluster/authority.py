"""The authority over a cluster: who is in, who is lost, and from when on a lost node may be replaced. No I/O, no clock.

The driver has it, and nobody else: a node that cannot reach another one tells the driver, and decides nothing. When the
driver is gone, nobody grants leases, and all nodes stop themselves. So there are never two opinions about who is in
(Orleans keeps its membership in one table for the same reason), and a partition never splits a cluster in two parts
that both go on: the nodes that do not reach the driver stop (Akka's split brain resolver calls that "lease majority").
"""

import enum
import threading
from typing import NamedTuple

from miniagents.cluster.lease import Grants
from miniagents.cluster.transport import LossCause, NodeId


class View(NamedTuple):
    """The nodes at one moment, as the driver publishes them.

    Attributes:
        number: The number of the view, which grows with each change.
        settled: The number of the newest view that all nodes know, and of whose lost nodes none can still run. Nothing
            is placed anew in a later one.
        alive: The nodes that are in.
        leaving: The names of those that take no more actors.
        lost: The newest lost life for each name, with the cause.
    """

    number: int = 0
    settled: int = 0
    alive: tuple[NodeId, ...] = ()
    leaving: tuple[str, ...] = ()
    lost: tuple[tuple[str, int, str], ...] = ()

    @property
    def is_settled(self) -> bool:
        """True if actors of lost nodes may be placed again."""
        return self.settled >= self.number


class NodeState(enum.Enum):
    """The standing of a node that is in."""

    UP = "up"
    LEAVING = "leaving"


class Member:
    """One life of a node, as the authority knows it.

    Attributes:
        node: The node.
        standing: Its standing.
        grants: Its lease.
        knows: The number of the view that it knows.
        silence: Seconds for which it has not answered while the driver itself was on time.
        lag: Seconds by which the loop of the node is late.
        busy: The path of the actor that holds that loop, "" if none does.
        hosted: The number of actors that were placed there.
        unreached: The names of the nodes that it cannot reach.
    """

    __slots__ = ("busy", "grants", "hosted", "knows", "lag", "node", "silence", "standing", "unreached")

    def __init__(self, node: NodeId, grants: Grants) -> None:
        self.node = node
        self.standing = NodeState.UP
        self.grants = grants
        self.knows = 0
        self.silence = 0.0
        self.lag = 0.0
        self.busy = ""
        self.hosted = 0
        self.unreached: tuple[str, ...] = ()


class Authority:
    """Decides who is in. All times are on the clock of the driver, in seconds. Any thread may call it.

    Args:
        driver: The driver, which is in as long as there is a cluster.
        lease: The length of a lease; a node is lost once it was silent for so long.
        margin: Seconds beyond the lease after which a lost node may be replaced.
        beat: The time between two ticks.
    """

    def __init__(self, driver: NodeId, lease: float, margin: float, beat: float) -> None:
        self._lock = threading.RLock()  # the loop of the driver and the heart are two threads
        self._driver = driver
        self._lease = lease
        self._margin = margin
        self._beat = beat
        self._members: dict[str, Member] = {}
        self._lost: dict[str, tuple[int, LossCause, float]] = {}  # by name: epoch, cause, when it is fenced
        self._ticked_at: float | None = None
        self._number = 1
        self._settled = 1

    def member(self, node: NodeId) -> Member | None:
        """Return a life of a node that is in, or None."""
        with self._lock:
            member = self._members.get(node.name)
            return member if member is not None and member.node == node else None

    @property
    def has_joining(self) -> bool:
        """True while a node that is in has not taken its first view."""
        with self._lock:
            return any(not member.knows for member in self._members.values())

    @property
    def members(self) -> tuple[Member, ...]:
        """The nodes that are in, in the order in which they came."""
        with self._lock:
            return tuple(self._members.values())

    def joined(self, node: NodeId, now: float) -> None:
        """A node has started, with a first lease that began before this moment."""
        with self._lock:
            self._members[node.name] = Member(node, Grants(self._lease, self._margin, now))
            self._number += 1

    def leaves(self, node: NodeId) -> None:
        """A node takes no more actors."""
        with self._lock:
            member = self.member(node)
            if member is not None and member.standing is NodeState.UP:
                member.standing = NodeState.LEAVING
                self._number += 1

    def lost(self, node: NodeId, cause: LossCause, now: float) -> bool:
        """A node is lost.

        Returns:
            False if that was known.
        """
        with self._lock:
            member = self.member(node)
            if member is None:
                return False
            del self._members[node.name]
            # One that was asked to leave has ended all that it did.
            fenced_at = now if cause is LossCause.DRAINED else member.grants.fenced_at
            self._lost[node.name] = node.epoch, cause, fenced_at
            self._number += 1
            return True

    def gone(self, node: NodeId, now: float) -> None:
        """Nothing of a lost node runs any more, for certain: its lease need not lapse before it is replaced."""
        with self._lock:
            epoch, cause, fenced_at = self._lost[node.name]
            if epoch == node.epoch:
                self._lost[node.name] = epoch, cause, min(fenced_at, now)

    def fenced_at(self, name: str) -> float:
        """Return the time from which on the lost node of a name may be replaced."""
        return self._lost[name][2]

    def grant(self, node: NodeId) -> float | None:
        """Return the next grant for a node, on its clock. None if its clock is not known yet, and for a node that is
        not in any more: the time from which on that one may be replaced is fixed."""
        with self._lock:
            member = self.member(node)
            return member.grants.grant() if member is not None else None

    def answered(self, node: NodeId, node_clock: float, knows: int, now: float) -> Member | None:
        """A node has answered a heartbeat.

        Returns:
            The node, or None if it is not in any more.
        """
        with self._lock:
            member = self.member(node)
            if member is not None:
                member.grants.heard(node_clock, now)
                member.silence = 0.0
                member.knows = max(member.knows, knows)
            return member

    def tick(self, now: float) -> list[NodeId]:
        """Count the silence of the nodes. A driver that was late itself accuses nobody: of the time since the last tick
        only one beat counts then.

        Returns:
            The nodes that have been silent for a lease.
        """
        with self._lock:
            elapsed = now - self._ticked_at if self._ticked_at is not None else 0.0
            self._ticked_at = now
            if elapsed > 2 * self._beat:
                elapsed = self._beat
            silent = []
            for member in self._members.values():
                member.silence += elapsed
                if member.silence > self._lease:
                    silent.append(member.node)
            return silent

    def view(self, now: float) -> View:
        """Return the view at this moment."""
        with self._lock:
            is_fenced = all(fenced_at <= now for _, _, fenced_at in self._lost.values())
            # One that has just joined has never heard of those that are lost.
            is_known = all(not member.knows or member.knows >= self._number for member in self._members.values())
            if is_fenced and is_known:
                self._settled = self._number
            return View(
                self._number,
                self._settled,
                (self._driver, *(member.node for member in self._members.values())),
                tuple(name for name, member in self._members.items() if member.standing is NodeState.LEAVING),
                tuple((name, epoch, cause.value) for name, (epoch, cause, _) in self._lost.items()),
            )
