"""Pools, as values: equal children behind one reference, and the rule by which one of them gets a message."""

from collections.abc import Callable, Mapping
from typing import Any

from miniagents.errors import InvalidOptionError
from miniagents.supervision.checking import check_count, check_function
from miniagents.supervision.routing import Routing
from miniagents.supervision.spec import ChildSpec, Restart, Shutdown, Supervisor
from miniagents.supervision.strategy import DEFAULT_SUPERVISION, SimpleOneForOne, Strategy


class Pool(Supervisor):
    """A supervisor of equal members. Each message, ask or call of the pool goes to one member.

    A pool is started as any supervisor: by a `ChildSpec` that names it, by `system.supervise`, or, at the top of the
    tree, by `system.pool`.

    Args:
        child: An `Actor` class or an agent. A pool of agents can be called as an agent.
        size: The number of members, 1 or more.
        routing: The rule by which a member gets a message.
        key: For `Routing.CONSISTENT_HASH`: a function of the message. Messages with equal keys go to the same member.
            For a call of an agent the function gets the first message of the call, or None if there is none.
        name: The name of the pool where no `ChildSpec` gives one; by default the name of `child` and "-pool".
        strategy: What happens to the other members when one ends, and how many restarts are too many. By default that
            member alone is restarted, without a limit, with growing backoff.
        restart: When a member that has ended is started again.
        shutdown: Seconds that a member gets to end, or a `Shutdown`.
        kwargs: The arguments of the constructor of each member.
        options: The `SpawnOptions` of the members, or None.

    Raises:
        InvalidOptionError: An option is outside its range, or `routing` and `key` do not fit together.

    Example:
        >>> class Worker(Actor):
        ...     async def receive(self, message, ctx):
        ...         return TextMessage(f"{ctx.path} got {message}")
        >>> async with MiniAgents() as system:
        ...     workers = await system.supervise(Pool(Worker, size=2))
        ...     for text in ("a", "b", "c"):
        ...         print(await workers.ask(TextMessage(text)))
        /Worker-pool/1 got a
        /Worker-pool/2 got b
        /Worker-pool/1 got c
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
        check_count("pool(size=)", size, 1)
        try:
            routing = Routing(routing)
        except ValueError:
            raise InvalidOptionError(f"pool(routing=) must be one of Routing, not {routing!r}") from None
        check_function("pool(key=)", key)
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
        self.child: Any = child
        self.routing: Routing = routing
        self.key: Callable[[Any], object] | None = key

    def __repr__(self) -> str:
        return f"Pool({self.child!r}, size={len(self.children)}, routing={self.routing})"
