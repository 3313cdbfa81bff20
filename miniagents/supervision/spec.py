"""What is to be supervised, as values: restart types, shutdowns, stop reasons, child specifications, supervisors.

The vocabulary and the defaults are those of Erlang/OTP's `supervisor`.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Any

from miniagents.errors import InvalidOptionError
from miniagents.supervision.checking import check_kind, check_name, check_seconds
from miniagents.supervision.strategy import OneForOne, SimpleOneForOne, Strategy


class Restart(enum.Enum):
    """When a child that has ended is started again."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """After an abnormal end: a crash or a kill."""
    TEMPORARY = "temporary"
    """Never; its specification goes with it."""


class Shutdown(enum.Enum):
    """How a child is stopped, where it is not by a number of seconds."""

    KILL = "kill"
    """Without any grace for the message in hand."""
    FOREVER = "forever"
    """However long it takes."""


class AutoShutdown(enum.Enum):
    """Whether a supervisor ends itself when significant children have ended by themselves."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


class StopReason(enum.Enum):
    """Why an actor ended, where it did not crash: after a crash the reason is the exception itself."""

    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    KILLED = "killed"


class ChildSpec:
    """The specification of one child of a supervisor.

    Args:
        id: Its id, unique in its supervisor, and its name in the tree.
        child: An `Actor` class, an agent, or a nested `Supervisor`.
        restart: When it is started again.
        shutdown: Seconds that it gets to end, 0 or more, or a `Shutdown`. By default 5.0; for a nested supervisor
            `Shutdown.FOREVER`.
        significant: Whether its end counts for its supervisor's `auto_shutdown`. Not for a PERMANENT child.
        kwargs: What its constructor gets.
        options: `SpawnOptions`, or None.

    Raises:
        InvalidOptionError: An option is outside its range.
    """

    __slots__ = ("child", "id", "kwargs", "options", "restart", "shutdown", "significant")

    def __init__(
        self,
        id: str,
        child: Any,
        *,
        restart: Restart = Restart.PERMANENT,
        shutdown: float | Shutdown | None = None,
        significant: bool = False,
        kwargs: Mapping[str, Any] | None = None,
        options: Any = None,
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
        self.id = id
        self.child = child
        self.restart = restart
        self.shutdown = shutdown
        self.significant = significant
        self.kwargs: Mapping[str, Any] = dict(kwargs) if kwargs else {}
        self.options = options

    def but(self, **changes: Any) -> "ChildSpec":
        """The same with other values."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return ChildSpec(**{**values, **changes})

    def __repr__(self) -> str:
        return f"ChildSpec({self.id!r}, {self.child!r}, restart={self.restart})"


class Supervisor:
    """A supervisor, as a value: `system.supervise` brings it to life, and so does a `ChildSpec` that names it.

    Args:
        name: Its name in the tree.
        strategy: What happens to the others when one child ends, and how many restarts are too many.
        children: The specifications of its children, in the order of their starts. `SimpleOneForOne` takes exactly
            one, the template of all.
        auto_shutdown: Whether it ends itself when significant children have.

    Raises:
        InvalidOptionError: An option is outside its range, or two children have one id.
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
        self.name = name
        self.strategy = strategy
        self.children = specs
        self.auto_shutdown = auto_shutdown

    @staticmethod
    def check_child(name: str, auto_shutdown: AutoShutdown, spec: Any) -> None:
        """Check that `spec` fits under a supervisor with this `auto_shutdown`.

        Raises:
            InvalidOptionError: It does not.
        """
        if not isinstance(spec, ChildSpec):
            raise InvalidOptionError(f"Supervisor {name!r}: its children are ChildSpecs, not {spec!r}")
        if spec.significant and auto_shutdown is AutoShutdown.NEVER:
            raise InvalidOptionError(
                f"Supervisor {name!r}: child {spec.id!r} is significant, but auto_shutdown is NEVER"
            )

    def __repr__(self) -> str:
        return f"Supervisor({self.name!r}, strategy={self.strategy!r}, children={[s.id for s in self.children]!r})"
