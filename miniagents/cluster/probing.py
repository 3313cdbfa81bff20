"""Probes: how a cycle of waits that goes over several nodes is found.

No node sees the whole wait-for graph, and none collects it. When an ask to another node has lasted for a second, a
probe is sent along it (Chandy, Misra and Haas 1983). The other node goes on from the actor that is asked to what that
one waits for, and, where this is an actor of yet another node, sends the probe on. A probe that comes back to the ask
that it began with has gone along a cycle. The youngest ask of a cycle fails: a probe is sent on along older asks only.

Calls of agents are followed as asks are. The probe follows waits for one thing at a time. Where an actor waits for
several, or for something that cannot be seen, there is no alarm, as on one node.
"""

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

from miniagents.actors.cells.remote_cell import RemoteCell
from miniagents.actors.messaging.ask import Ask
from miniagents.actors.waiting.search import Holder, wait_of
from miniagents.agents.remote_agent_cell import RemoteAgentCell
from miniagents.cluster import items
from miniagents.cluster.frames import pack
from miniagents.errors import DeadlockError

if TYPE_CHECKING:
    from miniagents.agents.interaction import Interaction
    from miniagents.cluster.link import NodeLink
    from miniagents.cluster.nodes import ClusterNodes

Edge: TypeAlias = "Ask[Any] | Interaction"
"""A wait of this node for another one: an ask, or the interaction that stands for a call there."""

FIRST_AFTER = 1.0
"""Seconds that an ask has lasted before the first probe; between two probes they double."""

_SAME_AGE = 0.1
"""Seconds within which two asks count as equally old, since a probe takes some time; then the names decide."""

_MOST = 100
"""How many steps a probe takes on one node at most."""


class Probing:
    """The probes of one node.

    Args:
        nodes: The nodes, as this one knows them.
    """

    def __init__(self, nodes: "ClusterNodes") -> None:
        self._nodes = nodes
        self._due: dict[Edge, float] = {}  # with the time of the next probe
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    # Sending

    def asked(self, edge: "Edge") -> None:
        """An actor or agent of this node asks or calls one of another node."""
        self._due[edge] = self._nodes.loop.time() + FIRST_AFTER
        if self._timer is None:
            self._timer = self._nodes.loop.call_later(FIRST_AFTER, self._probe_due)

    def ended(self, edge: "Edge") -> None:
        """The ask or the call has ended."""
        self._due.pop(edge, None)
        if not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _probe_due(self) -> None:
        self._timer = None
        now = self._nodes.loop.time()
        for edge, due in tuple(self._due.items()):
            if due <= now:
                self._due[edge] = now + max(FIRST_AFTER, now - _began(edge))
                self._begin(edge, now)
        if self._due:
            self._timer = self._nodes.loop.call_later(FIRST_AFTER, self._probe_due)

    def _begin(self, edge: "Edge", now: float) -> None:
        here = self._nodes.here
        link, number = _place_of(edge)
        if number is not None:
            data = pack([items.PROBE, number, here.name, here.epoch, number, now - _began(edge), []])
            link.channel.send(data, control=True)

    # Receiving

    def received(self, start: Holder | None, origin: tuple[str, int, int], age: float, ring: list[str]) -> None:
        """Take a probe.

        Args:
            start: What holds up the question along which it has come; None if that has ended.
            origin: The node and its epoch from which it was sent, and the number of the ask there.
            age: Seconds that this ask has lasted.
            ring: The paths of the actors so far.
        """
        edge = self._follow(start, ring) if start is not None else None
        if edge is None:
            return
        here = self._nodes.here
        link, number = _place_of(edge)
        if number is None:
            return
        if (here.name, here.epoch, number) == origin:
            self._close(edge, ring)
            return
        mine = self._nodes.loop.time() - _began(edge)
        is_older = (here.name, number) < (origin[0], origin[2]) if abs(mine - age) < _SAME_AGE else mine > age
        if is_older and len(ring) < _MOST:
            link.channel.send(pack([items.PROBE, number, *origin, age, ring]), control=True)

    def _follow(self, holder: Holder, ring: list[str]) -> "Edge | None":
        """Return the ask or call to another node that something waits for in the end, None if there is none; and add
        the actors on the way to the ring."""
        for _ in range(_MOST):
            if holder.__class__ is tuple:
                promise, at = holder
                if promise.done() or getattr(promise, "own_timeout", False):
                    return None
                if isinstance(promise, Ask) and isinstance(promise.cell, RemoteCell):
                    return promise
                held = promise.held_by(at)
                if held is None or len(held[1]) != 1:
                    return None
                holder = next(iter(held[1]))
            elif isinstance(getattr(holder, "cell", None), RemoteAgentCell):
                return holder  # type: ignore[no-any-return]  # the interaction in the place of the one there
            elif getattr(holder, "is_node", False):
                if not ring or ring[-1] != holder.node_path:
                    ring.append(holder.node_path)
                if holder.waits is not None:
                    holder = holder.waits.by
                elif holder.task is not None:
                    holder = holder.task
                else:
                    behind = holder.node_behind(None)
                    if behind is None or behind is holder:
                        return None
                    holder = behind
            else:
                found = wait_of(holder)
                if found is None or found[0].done():
                    return None
                holder = found[1][:2]
        return None

    def _close(self, edge: "Edge", ring: list[str]) -> None:
        # The last actor on the way is the one that asks: the cycle begins with it.
        asker = ring[-1]
        paths = (asker, *ring[:-1], asker)
        error = DeadlockError(
            f"{asker}: this await would wait for ever, since the actors wait for each other over several nodes: "
            f"{' -> '.join(paths)}; tell instead of ask, or give one ask a timeout=",
            ring=paths,
        )
        sender: Any = edge.sender
        cell = self._nodes.local(sender.path, sender.uid) if sender is not None else None
        if cell is not None:
            cell.deadlocked(error)
        if isinstance(edge, Ask):
            edge.fail(error)
        else:
            edge.begin_cancel(error)

    def close(self) -> None:
        """Send no more probes."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _began(edge: "Edge") -> float:
    return edge.at if isinstance(edge, Ask) else edge.started_at


def _place_of(edge: "Edge") -> "tuple[NodeLink, int | None]":
    """Return the link along which an ask or a call was sent, and its number there."""
    cell: Any = edge.cell  # a `RemoteCell`
    return cell.link, cell.link.number_of(edge)
