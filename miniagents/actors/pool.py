"""Pools: equal actors behind one reference, under a supervisor."""

from collections.abc import Callable, Mapping
from typing import Any

from miniagents.actors.deadletters import DeadLetterReason
from miniagents.actors.envelope import Envelope
from miniagents.actors.options import DEFAULT_OPTIONS, DEFAULT_SUPERVISION, Props, SpawnOptions
from miniagents.actors.routing import HashRing, RoundRobin, Routing
from miniagents.actors.supervisor_cell import SupervisorCell
from miniagents.errors import InvalidOptionError
from miniagents.supervision import ChildSpec, Restart, Supervisor


class PoolCell(SupervisorCell):
    """A supervisor that hands every message on to one of its children, without a hop in between."""

    __slots__ = ("_key", "_ring", "_routing", "_turns")

    def __init__(self, *args: Any, routing: Routing, key: Callable[[Any], object] | None) -> None:
        super().__init__(*args)
        self._routing = routing
        self._key = key
        self._turns = RoundRobin()
        self._ring = HashRing(len(self.supervisor.children))

    def post(self, envelope: Envelope) -> None:
        """Hand it on."""
        member = self._pick(envelope.message)
        ask = envelope.ask
        if member is None:
            if ask is not None:
                ask.stopped(self.reason if self.reason is not None else "no member runs")
            self.system.dead_letters.add(DeadLetterReason.STOPPED, envelope, self.ref)
            return
        if ask is not None:
            ask.cell = member
            ask._producer = member if member.is_serial else None
        member.post(envelope)

    def _pick(self, message: Any) -> Any:
        children = self.children
        if not children or self.stopping is not None:
            return None
        if self._routing is Routing.CONSISTENT_HASH:
            assert self._key is not None
            return children.get(str(self._ring.pick(self._key(message)) + 1))
        members = list(children.values())
        if self._routing is Routing.LEAST_LOADED:
            return members[self._turns.pick_least([m.depth + (m.current is not None) for m in members])]
        return members[self._turns.pick(len(members))]


def new_pool_cell(
    system: Any,
    parent: Any,
    name: str,
    actor: Any,
    size: int,
    routing: Routing,
    key: Callable[[Any], object] | None,
    options: SpawnOptions | None,
    kwargs: Mapping[str, Any],
) -> PoolCell:
    """Make the cell of a pool, without starting it.

    Raises:
        InvalidOptionError: `size` is below 1, or `routing` and `key` do not fit together.
    """
    if size < 1:
        raise InvalidOptionError(f"pool(size=) must be 1 or more, not {size!r}")
    try:
        routing = Routing(routing)
    except ValueError:
        raise InvalidOptionError(f"pool(routing=) must be one of Routing, not {routing!r}") from None
    if (routing is Routing.CONSISTENT_HASH) != (key is not None):
        raise InvalidOptionError("pool(key=) is needed by, and only by, routing=Routing.CONSISTENT_HASH")
    members = [
        ChildSpec(str(n), actor, restart=Restart.TRANSIENT, kwargs=kwargs, options=options) for n in range(1, size + 1)
    ]
    supervisor = Supervisor(name, strategy=DEFAULT_SUPERVISION, children=members)
    return PoolCell(system, parent, name, Props(lambda: None, DEFAULT_OPTIONS), supervisor, routing=routing, key=key)
