"""`MiniAgent`: an agent as a value."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from miniagents.actors import SpawnOptions
from miniagents.actors.arguments import parameters
from miniagents.actors.messaging.options import Props
from miniagents.agents.arguments import (
    as_live,
    check_arguments,
    freeze_arguments,
    identity,
    live_parameters,
)
from miniagents.agents.call_target import AgentRef, CallTarget
from miniagents.agents.host import AgentHost, ServingCell
from miniagents.agents.misuse import Misused
from miniagents.errors import AgentArgumentError
from miniagents.messages import EMPTY, FrozenDict
from miniagents.messages.message import MessageT_co
from miniagents.promising.scope import get_scope
from miniagents.supervision.checking import check_kind, check_name

A = TypeVar("A", bound="MiniAgent[Any]")

FORK_PASSIVATE_AFTER = 60.0
"""Seconds without a call after which an agent made by `fork` gives its memory back."""


class AgentOptions:
    """The options of an agent's decorator, shared by all forks of the agent.

    Args:
        errors: Exceptions that are answers, not crashes.
        max_concurrency: The number of calls of a function that run at once, 1 or more; None for no limit.
        spawn: The options of the actor.
        version: The version of the code, as the journal knows it; None for a hash of the code.

    Attributes:
        passivates_waits_after: Seconds after which the code of a job that only waits is thrown away; None for never.
        props: What the actors of functions with these options are made of.
    """

    __slots__ = ("_of_forks", "errors", "max_concurrency", "passivates_waits_after", "props", "spawn", "version")

    def __init__(
        self,
        errors: tuple[type[BaseException], ...],
        max_concurrency: int | None,
        spawn: SpawnOptions,
        version: str | None = None,
    ) -> None:
        self.errors = errors
        self.max_concurrency = max_concurrency
        self.spawn = spawn
        self.version = version
        self.passivates_waits_after = spawn.passivate_after
        self.props = Props(_no_instance, spawn, errors)
        self._of_forks: AgentOptions | None = None

    @property
    def of_forks(self) -> "AgentOptions":
        """The options of all forks: they are passivated when they rest for long, if nothing else was said."""
        if self.spawn.passivate_after is not None:
            return self
        if self._of_forks is None:
            spawn = self.spawn.but(passivate_after=FORK_PASSIVATE_AFTER)
            self._of_forks = AgentOptions(self.errors, self.max_concurrency, spawn, self.version)
            self._of_forks.passivates_waits_after = None  # code is run twice only where somebody has asked for it
        return self._of_forks


def _no_instance() -> None:
    """Make nothing: an agent that is a function has no instance."""


class MiniAgent(Misused, CallTarget[MessageT_co]):
    """An agent, as a value. It belongs to no system, and may be called in one system after the other.

    `@miniagent` makes agents. Two agents are equal when they are made of the same function or class, with the same
    alias, equal frozen arguments and identical live ones; equal agents share one actor in each system.

    Attributes:
        wrapped: The function or class.
        is_class: Whether `wrapped` is a class.
        alias: The name, by default that of the function or class.
        description: A text about the use of the agent, by default the docstring.
        arguments: The frozen arguments.
        live_arguments: The live arguments, which are passed as they are.
        options: The options of the decorator.
        as_trace: The agent trace of a call from outside: the agent alone.

    Example:
        >>> @miniagent
        ... async def greeter(ctx, greeting="Hello"):
        ...     ctx.reply(f"{greeting}, {await ctx.message_promises}!")
        >>> casual = greeter.fork(greeting="Hi")
        >>> async with MiniAgents():
        ...     print(await casual.inquire("Ada"))
        Hi, Ada!
    """

    __slots__ = (
        "__name__",
        "_hash",
        "_key",
        "_needs_nothing",
        "_system",
        "alias",
        "arguments",
        "as_trace",
        "description",
        "is_class",
        "live_arguments",
        "options",
        "wrapped",
    )

    __miniagents_immutable__ = True

    in_no_key: ClassVar[frozenset[str]] = frozenset()
    """The names of arguments by which the journal does not tell calls apart: they change no answer."""

    if TYPE_CHECKING:
        _reference: AgentRef[MessageT_co]  # see `Spawnable`

    def __init__(
        self,
        wrapped: Any,
        *,
        alias: str | None,
        description: str | None,
        options: AgentOptions,
        arguments: Mapping[str, Any],
        live_arguments: Mapping[str, Any],
        system: AgentHost | None = None,
    ) -> None:
        self.wrapped: Any = wrapped
        self.is_class: bool = isinstance(wrapped, type)
        self.alias: str = alias if alias is not None else wrapped.__name__
        check_name("alias=", self.alias)
        check_kind(f"agent {self.alias}: description=", description, str, or_none=True)
        about = description if description is not None else inspect.getdoc(wrapped)
        # The docstring may speak of the agent by the name that it gets.
        self.description: str | None = " ".join(about.replace("{AGENT_ALIAS}", self.alias).split()) if about else None
        self.options: AgentOptions = options
        live_names = live_parameters(wrapped.__init__ if self.is_class else wrapped)
        self.arguments: FrozenDict[str, Any] = freeze_arguments(
            self.alias, {name: value for name, value in arguments.items() if name not in live_names}
        )
        self.live_arguments: dict[str, Any] = {
            **live_arguments,
            **{name: as_live(value) for name, value in arguments.items() if name in live_names},
        }
        self._system = system
        self._needs_nothing = False  # whether a call without arguments has been found to be right
        live = tuple((name, identity(value)) for name, value in sorted(self.live_arguments.items()))
        self._key = (wrapped, self.alias, self.arguments, live, options.spawn, options.version)
        self._hash = hash(self._key)
        self.as_trace: tuple[MiniAgent[Any], ...] = (self,)
        self.__name__: str = self.alias

    def called_agent(self) -> "MiniAgent[MessageT_co]":
        return self

    def _called_cell(self) -> ServingCell[Any]:
        system = self._system
        if system is None:
            scope = get_scope()
            context = scope.promising_context if scope is not None else None
            # The only one of this loop, or an error that says what to do.
            system = context if isinstance(context, AgentHost) else AgentHost.get_current()
        return system.activated(self)

    def check_call(self, arguments: Mapping[str, Any]) -> FrozenDict[str, Any]:
        """Check the arguments of a call.

        Returns:
            The same arguments, frozen.

        Raises:
            AgentArgumentError: The agent does not take an argument, lacks one, or one cannot be frozen.
        """
        if not arguments and self._needs_nothing:
            return EMPTY
        if self.is_class:
            check_arguments(self.alias, self.wrapped.__call__, 2, arguments, "__call__()")
        else:
            all_arguments = {**self.arguments, **self.live_arguments, **arguments}
            check_arguments(self.alias, self.wrapped, 1, all_arguments, "it")
        if not arguments:
            self._needs_nothing = True
            return EMPTY
        return freeze_arguments(
            self.alias, arguments, live_parameters(self.wrapped.__call__ if self.is_class else self.wrapped)
        )

    def fork(
        self,
        *,
        alias: str | None = None,
        description: str | None = None,
        options: SpawnOptions | None = None,
        non_freezable_kwargs: Mapping[str, Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: object,
    ) -> Self:
        """Make a variant of this agent. Equal forks share one actor.

        Args:
            alias: The name; by default the same.
            description: A text about the use of the agent; by default the same.
            options: The options of the actor; by default the same, and `passivate_after=60.0`.
            non_freezable_kwargs: Live arguments (a client, a callback), which are passed as they are.
            kwargs: Arguments whose names `fork` takes for itself.
            **arguments: Arguments, frozen deeply. They win over those of this agent.

        Raises:
            AgentArgumentError: The agent takes no such argument.
            InvalidOptionError: An option is of the wrong kind.
        """
        check_kind(f"agent {self.alias}: options=", options, SpawnOptions, or_none=True)
        own = self.options
        of_fork = own.of_forks
        if options is not None:
            of_fork = AgentOptions(own.errors, own.max_concurrency, options, own.version)
        changed = {**arguments, **(kwargs or {})}
        fork = self._made(
            type(self),
            alias=alias if alias is not None else self.alias,
            description=description if description is not None else self.description,
            options=of_fork,
            arguments={**self.arguments, **changed},
            live_arguments={**self.live_arguments, **(non_freezable_kwargs or {})},
        )
        fork.check_fork()
        return fork

    def key_of_live(self, name: str, value: object) -> str | None:
        """Return the key of a live argument in a journal; None if it has none of its own.

        Args:
            name: The name of the argument.
            value: The argument, or a part of it.
        """
        key = getattr(value, "journal_key", None)
        return key if isinstance(key, str) else None

    def check_fork(self) -> None:
        """Check that the arguments are those of the function, or of the class's constructor."""
        function = self.wrapped.__init__ if self.is_class else self.wrapped
        if self.is_class and function is object.__init__:
            names: frozenset[str] = frozenset()
            others = False
        else:
            names, _, others = parameters(function, 1)
        for name in (*self.arguments, *self.live_arguments):
            if name not in names and not others:
                takes = ", ".join(sorted(names)) or "none"
                raise AgentArgumentError(f"agent {self.alias}: takes no argument {name!r}; it takes: {takes}")

    def bind(self, system: AgentHost) -> Self:
        """Return the same agent in `system`, for programs in which several systems are active."""
        return self._made(type(self), system=system)

    def as_kind(self, kind: type[A]) -> A:
        """Return the same agent as an object of `kind`, a subclass of `MiniAgent`."""
        return self._made(kind)

    def _made(self, kind: type[A], **changes: Any) -> A:
        same = {
            name: getattr(self, name) for name in ("alias", "description", "options", "arguments", "live_arguments")
        }
        return kind(self.wrapped, **{**same, "system": self._system, **changes})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MiniAgent):
            return NotImplemented
        return self is other or (self._hash == other._hash and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"<MiniAgent {self.alias}>"
