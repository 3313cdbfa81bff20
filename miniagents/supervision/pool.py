"""Pools, as values: equal children behind one reference, and which of them gets a message."""

from collections.abc import Callable, Mapping
from typing import Any

from miniagents.errors import InvalidOptionError
from miniagents.supervision.routing import Routing
from miniagents.supervision.spec import ChildSpec, Restart, Shutdown, Supervisor
from miniagents.supervision.strategy import DEFAULT_SUPERVISION, SimpleOneForOne, Strategy


class Pool(Supervisor):
    """A supervisor of equal members that hands on what it is told, asked or called with. It is started as any other: by
    a `ChildSpec` that names it, by `system.supervise`, or, at the top of the tree, by `system.pool`.

    Args:
        child: What its members are: an `Actor` class or an agent. A pool of agents can be called as an agent.
        size: How many, 1 or more.
        routing: Which member gets a message.
        key: For `Routing.CONSISTENT_HASH`: a function of the message; messages with equal keys go to the same member.
            For a call of an agent it is the first message that is sent, or None if there is none.
        name: Its name where no `ChildSpec` gives one; by default that of `child`, and "-pool".
        strategy: What happens to the other members when one ends, and how many restarts are too many; None for
            restarts of that member alone, without a limit, with growing backoff.
        restart: When a member that has ended is started again.
        shutdown: Seconds that a member gets to end, or a `Shutdown`.
        kwargs: What the constructor of the members gets.
        options: The `SpawnOptions` of the members, or None.

    Raises:
        InvalidOptionError: An option is outside its range, or `routing` and `key` do not fit together.
    """

    __slots__ = ("child", "key", "routing")

    def __init__(
        self,
        child: Any,
        *,
        size: int,
        routing: Routing = Routing.ROUND_ROBIN,
        key: Callable[[Any], object] | None = None,
        name: str | None = None,
        strategy: Strategy | None = None,
        restart: Restart = Restart.TRANSIENT,
        shutdown: float | Shutdown | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Any = None,
    ) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InvalidOptionError(f"pool(size=) must be 1 or more, not {size!r}")
        try:
            routing = Routing(routing)
        except ValueError:
            raise InvalidOptionError(f"pool(routing=) must be one of Routing, not {routing!r}") from None
        if (routing is Routing.CONSISTENT_HASH) != (key is not None):
            raise InvalidOptionError("pool(key=) is needed by, and only by, routing=Routing.CONSISTENT_HASH")
        if isinstance(strategy, SimpleOneForOne):
            raise InvalidOptionError("pool(strategy=) cannot be SimpleOneForOne: the members of a pool have places")
        if isinstance(child, Supervisor):
            raise InvalidOptionError(f"the members of a pool are actors or agents, not supervisors ({child!r})")
        if name is None:
            name = f"{getattr(child, '__name__', type(child).__name__)}-pool"
        super().__init__(
            name,
            strategy=strategy if strategy is not None else DEFAULT_SUPERVISION,
            children=[
                ChildSpec(str(n), child, restart=restart, shutdown=shutdown, kwargs=kwargs, options=options)
                for n in range(1, size + 1)
            ],
        )
        self.child = child
        self.routing = routing
        self.key = key

    def __repr__(self) -> str:
        return f"Pool({self.child!r}, size={len(self.children)}, routing={self.routing})"
