"""Values of supervision: restart types, shutdowns, stop reasons, child specifications and supervisors.

The vocabulary and the defaults are those of Erlang/OTP's `supervisor`.
"""

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from miniagents.errors import InvalidOptionError
from miniagents.supervision.checking import check_kind, check_name, check_seconds
from miniagents.supervision.strategy import OneForOne, SimpleOneForOne, Strategy


class Restart(enum.Enum):
    """The restart type of a child: when it is started again after it has ended.

    Example:
        >>> class Job(Actor):
        ...     pass
        >>> ChildSpec("job", Job, restart=Restart.TRANSIENT).restart
        <Restart.TRANSIENT: 'transient'>
    """

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """After an abnormal end: a crash or a kill."""
    TEMPORARY = "temporary"
    """Never. Its specification is deleted with it."""


class Shutdown(enum.Enum):
    """The ways to stop a child that are no number of seconds.

    Example:
        >>> class Cache(Actor):
        ...     pass
        >>> ChildSpec("cache", Cache, shutdown=Shutdown.KILL).shutdown
        <Shutdown.KILL: 'kill'>
    """

    KILL = "kill"
    """At once: the handler that runs is cancelled."""
    FOREVER = "forever"
    """The supervisor waits until the child has ended, without a limit."""


class AutoShutdown(enum.Enum):
    """The rule by which a supervisor ends when its significant children have ended by themselves.

    Example:
        >>> class Job(Actor):
        ...     async def receive(self, message, ctx):
        ...         ctx.stop()
        >>> spec = ChildSpec("job", Job, restart=Restart.TRANSIENT, significant=True)
        >>> async with MiniAgents() as system:
        ...     batch = Supervisor("batch", children=[spec], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
        ...     ref = await system.supervise(batch)
        ...     system.lookup("/batch/job").tell(TextMessage("the last one"))
        ...     print(await ref.terminated())
        StopReason.SHUTDOWN
    """

    NEVER = "never"
    """The supervisor goes on."""
    ANY_SIGNIFICANT = "any_significant"
    """The supervisor ends with the first significant child."""
    ALL_SIGNIFICANT = "all_significant"
    """The supervisor ends with the last significant child."""


class StopReason(enum.Enum):
    """The reason of the end of an actor that did not crash. After a crash the reason is the exception itself.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with MiniAgents() as system:
        ...     print(await system.spawn(Idle).stop())
        ...     print(await system.spawn(Idle).kill())
        StopReason.SHUTDOWN
        StopReason.KILLED
    """

    NORMAL = "normal"
    """The actor stopped itself."""
    RESTARTED = "restarted"
    """`restart()` ended the instance, and a fresh one follows behind the same mailbox."""
    SHUTDOWN = "shutdown"
    """The actor was stopped: by `stop()`, its supervisor or the end of the system."""
    KILLED = "killed"
    """The actor was killed."""


class ChildAgent(Protocol):
    """An agent, as this module sees it."""

    @property
    def inquire(self) -> Callable[..., Any]:
        """Send messages to the agent."""


class ChildOptions(Protocol):
    """The `SpawnOptions` of a child, as this module sees them."""

    @property
    def supervision(self) -> Strategy | None:
        """The strategy for the restarts of the child itself."""

    @property
    def handler_timeout(self) -> float | None:
        """Seconds that a handler may run; None for no limit."""


class ChildSpec:
    """The specification of one child of a supervisor.

    Args:
        id: The id of the child, unique in its supervisor, and its name in the tree.
        child: An `Actor` class, an agent, or a nested `Supervisor`.
        restart: When the child is started again after it has ended.
        shutdown: Seconds that the child gets to end, 0 or more, or a `Shutdown`. By default 5.0; for a nested
            supervisor `Shutdown.FOREVER`.
        significant: The end of the child counts for the `auto_shutdown` of its supervisor. Not for a PERMANENT child.
        kwargs: The arguments of the constructor.
        options: `SpawnOptions`, or None.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        >>> class Store(Actor):
        ...     def __init__(self, path):
        ...         self.path = path
        >>> ChildSpec("store", Store, kwargs={"path": "data.db"}, shutdown=30.0)
        ChildSpec('store', <class 'example.Store'>, restart=Restart.PERMANENT)
    """

    __slots__ = ("child", "id", "kwargs", "options", "restart", "shutdown", "significant")

    def __init__(
        self,
        id: str,
        child: "Callable[..., Any] | ChildAgent | Supervisor",
        *,
        restart: Restart = Restart.PERMANENT,
        shutdown: float | Shutdown | None = None,
        significant: bool = False,
        kwargs: Mapping[str, Any] | None = None,
        options: ChildOptions | None = None,
    ) -> None:
        check_name("ChildSpec(id=)", id)
        if not isinstance(child, Supervisor) and not callable(child) and not hasattr(child, "inquire"):
            raise InvalidOptionError(
                f"ChildSpec {id!r}: child must be an Actor class, an agent or a Supervisor, not {child!r}"
            )
        if not isinstance(restart, Restart):
            raise InvalidOptionError(f"ChildSpec {id!r}: restart must be one of Restart, not {restart!r}")
        if shutdown is None:
            shutdown = Shutdown.FOREVER if isinstance(child, Supervisor) else 5.0
        if not isinstance(shutdown, Shutdown):
            check_seconds(f"ChildSpec {id!r}: shutdown (seconds, or a Shutdown)", shutdown)
        if not isinstance(significant, bool):
            raise InvalidOptionError(f"ChildSpec {id!r}: significant must be True or False, not {significant!r}")
        if significant and restart is Restart.PERMANENT:
            raise InvalidOptionError(f"ChildSpec {id!r}: a PERMANENT child cannot be significant")
        check_kind(f"ChildSpec {id!r}: kwargs", kwargs, Mapping, or_none=True)
        if isinstance(child, Supervisor) and kwargs:
            raise InvalidOptionError(f"ChildSpec {id!r}: a Supervisor takes no kwargs")
        self.id: str = id
        self.child: Any = child
        self.restart: Restart = restart
        self.shutdown: float | Shutdown = shutdown
        self.significant: bool = significant
        self.kwargs: Mapping[str, Any] = dict(kwargs) if kwargs else {}
        self.options: Any = options

    def but(self, **changes: Any) -> "ChildSpec":
        """Return the specification with other values."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return ChildSpec(**{**values, **changes})

    def __repr__(self) -> str:
        return f"ChildSpec({self.id!r}, {self.child!r}, restart={self.restart})"


class Supervisor:
    """A supervisor, as a value. `system.supervise` starts it, and so does a `ChildSpec` that names it.

    Args:
        name: The name of the supervisor in the tree.
        strategy: What happens to the other children when one ends, and how many restarts are too many; by default
            `OneForOne()`.
        children: The specifications of the children, in the order of their starts. `SimpleOneForOne` takes exactly one,
            the template of all.
        auto_shutdown: When the supervisor ends because significant children have ended.

    Raises:
        InvalidOptionError: An option is outside its range, or two children have the same id.

    Example:
        >>> class Divider(Actor):
        ...     async def receive(self, message, ctx):
        ...         return TextMessage(str(1 / int(message.content)))
        >>> async with MiniAgents() as system:
        ...     ref = await system.supervise(Supervisor("maths", children=[ChildSpec("divider", Divider)]))
        ...     divider = system.lookup("/maths/divider")
        ...     try:
        ...         answer = await divider.ask(TextMessage("0"))
        ...     except ZeroDivisionError as error:
        ...         print(error)
        ...     print(await divider.ask(TextMessage("2")))  # a fresh instance
        division by zero
        0.5
    """

    __slots__ = ("auto_shutdown", "children", "name", "strategy")

    def __init__(
        self,
        name: str,
        *,
        strategy: Strategy | None = None,
        children: Iterable[ChildSpec] = (),
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
    ) -> None:
        check_name("Supervisor(name=)", name)
        strategy = OneForOne() if strategy is None else strategy
        check_kind(f"Supervisor {name!r}: strategy", strategy, Strategy)
        if not isinstance(auto_shutdown, AutoShutdown):
            raise InvalidOptionError(
                f"Supervisor {name!r}: auto_shutdown must be one of AutoShutdown, not {auto_shutdown!r}"
            )
        if isinstance(children, ChildSpec) or not isinstance(children, Iterable):
            raise InvalidOptionError(
                f"Supervisor {name!r}: children must be ChildSpecs, as children=[...], not {children!r}"
            )
        specs = tuple(children)
        seen: set[str] = set()
        for spec in specs:
            self.check_child(name, auto_shutdown, spec)
            if spec.id in seen:
                raise InvalidOptionError(f"Supervisor {name!r}: two children have the id {spec.id!r}")
            seen.add(spec.id)
        if isinstance(strategy, SimpleOneForOne) and len(specs) != 1:
            raise InvalidOptionError(
                f"Supervisor {name!r}: SimpleOneForOne takes exactly one ChildSpec, the template, not {len(specs)}"
            )
        self.name: str = name
        self.strategy: Strategy = strategy
        self.children: tuple[ChildSpec, ...] = specs
        self.auto_shutdown: AutoShutdown = auto_shutdown

    @staticmethod
    def check_child(name: str, auto_shutdown: AutoShutdown, spec: Any) -> None:
        """Check that `spec` fits under a supervisor with this `auto_shutdown`.

        Raises:
            InvalidOptionError: `spec` is no `ChildSpec`, or is significant where `auto_shutdown` is NEVER.
        """
        if not isinstance(spec, ChildSpec):
            raise InvalidOptionError(f"Supervisor {name!r}: its children are ChildSpecs, not {spec!r}")
        if spec.significant and auto_shutdown is AutoShutdown.NEVER:
            raise InvalidOptionError(
                f"Supervisor {name!r}: child {spec.id!r} is significant, but auto_shutdown is NEVER"
            )

    def __repr__(self) -> str:
        return f"Supervisor({self.name!r}, strategy={self.strategy!r}, children={[s.id for s in self.children]!r})"
