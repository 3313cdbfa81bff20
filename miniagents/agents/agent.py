"""`@miniagent`: agents made of async functions and classes."""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from miniagents.actors import Mailbox, RetryPolicy, SpawnOptions
from miniagents.actors.arguments import parameters
from miniagents.agents.arguments import (
    as_live,
    check_arguments,
    freeze_arguments,
    identity,
    live_parameters,
)
from miniagents.agents.call_target import AgentRef, CallTarget
from miniagents.agents.host import AgentHost
from miniagents.errors import AgentArgumentError, InvalidOptionError
from miniagents.messages import EMPTY, FrozenDict
from miniagents.promising.scope import current_scope
from miniagents.supervision.checking import check_count, check_exceptions, check_kind, check_name

if TYPE_CHECKING:
    from miniagents.agents.system import MiniAgents

A = TypeVar("A", bound="MiniAgent")

FORK_PASSIVATE_AFTER = 60.0
"""Seconds without a call after which an agent made by `fork` gives its memory back."""


class AgentOptions:
    """What an agent's decorator said, shared by all its forks.

    Args:
        errors: Exceptions that are answers, not crashes.
        max_concurrency: How many interactions of a function run at once, 1 or more; None for no bound.
        spawn: The options of its actor.
    """

    __slots__ = ("errors", "max_concurrency", "spawn")

    def __init__(
        self, errors: tuple[type[BaseException], ...], max_concurrency: int | None, spawn: SpawnOptions
    ) -> None:
        self.errors = errors
        self.max_concurrency = max_concurrency
        self.spawn = spawn


class MiniAgent(CallTarget):
    """An agent, as a value: it belongs to no system and works in one after the other.

    It is made by `@miniagent`. Two agents are equal when they are made of the same function or class, with the same
    alias, equal frozen arguments and identical live ones; equal agents share one actor in each system.

    Attributes:
        alias: Its name, by default that of the function or class.
        description: What it is for, by default the docstring.
        as_trace: The agent trace of a call from outside: itself alone.
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

    if TYPE_CHECKING:
        _reference: AgentRef  # see `Spawnable`

    def __init__(
        self,
        wrapped: Any,
        *,
        alias: str | None,
        description: str | None,
        options: AgentOptions,
        arguments: Mapping[str, Any],
        live_arguments: Mapping[str, Any],
        system: "MiniAgents | None" = None,
    ) -> None:
        self.wrapped = wrapped
        self.is_class = isinstance(wrapped, type)
        self.alias = alias if alias is not None else wrapped.__name__
        check_name("alias=", self.alias)
        check_kind(f"agent {self.alias}: description=", description, str, or_none=True)
        text = description if description is not None else inspect.getdoc(wrapped)
        # The docstring may speak of the agent by the name that it gets.
        self.description = " ".join(text.replace("{AGENT_ALIAS}", self.alias).split()) if text else None
        self.options = options
        live_names = live_parameters(wrapped.__init__ if self.is_class else wrapped)
        self.arguments = freeze_arguments(
            self.alias, {name: value for name, value in arguments.items() if name not in live_names}
        )
        self.live_arguments = {
            **live_arguments,
            **{name: as_live(value) for name, value in arguments.items() if name in live_names},
        }
        self._system = system
        self._needs_nothing = False  # whether a call without arguments has been found to be right
        live = tuple((name, identity(value)) for name, value in sorted(self.live_arguments.items()))
        self._key = (wrapped, self.alias, self.arguments, live, options.spawn)
        self._hash = hash(self._key)
        self.as_trace = (self,)
        self.__name__ = self.alias

    def _called_agent(self) -> "MiniAgent":
        return self

    def _called_cell(self) -> Any:
        system: Any = self._system
        if system is None:
            scope = current_scope.get()
            system = scope.promising_context if scope is not None else None
            if system is None or not system._serves_agents:
                system = AgentHost.get_current()  # the only one of this loop, or an error that says what to do
        return system.activated(self)

    def check_call(self, given: Mapping[str, Any]) -> FrozenDict[str, Any]:
        """Check the arguments of a call.

        Returns:
            The same, frozen.

        Raises:
            AgentArgumentError: It does not take one of them, lacks one, or one cannot be frozen.
        """
        if not given and self._needs_nothing:
            return EMPTY
        if self.is_class:
            check_arguments(self.alias, self.wrapped.__call__, 2, given, "__call__()")
        else:
            known = {**self.arguments, **self.live_arguments, **given}
            check_arguments(self.alias, self.wrapped, 1, known, "it")
        if not given:
            self._needs_nothing = True
            return EMPTY
        return freeze_arguments(
            self.alias, given, live_parameters(self.wrapped.__call__ if self.is_class else self.wrapped)
        )

    def fork(
        self,
        *,
        alias: str | None = None,
        description: str | None = None,
        options: SpawnOptions | None = None,
        non_freezable_kwargs: Mapping[str, Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> Self:
        """A variant of this agent. Equal forks share one actor.

        Args:
            alias: Its name; by default the same.
            description: What it is for; by default the same.
            options: The options of its actor; by default the same, and `passivate_after=60.0`.
            non_freezable_kwargs: Live arguments (a client, a callback): passed as they are, and part of no key.
            kwargs: Arguments whose names `fork` takes for itself.
            **arguments: Arguments, frozen deeply. They win over those of this agent.

        Raises:
            AgentArgumentError: The agent takes no such argument.
            InvalidOptionError: An option is of the wrong kind.
        """
        check_kind(f"agent {self.alias}: options=", options, SpawnOptions, or_none=True)
        spawn = options if options is not None else self.options.spawn
        if options is None and spawn.passivate_after is None:
            spawn = spawn.but(passivate_after=FORK_PASSIVATE_AFTER)
        more = {**arguments, **(kwargs or {})}
        fork = self._made(
            type(self),
            alias=alias if alias is not None else self.alias,
            description=description if description is not None else self.description,
            options=AgentOptions(self.options.errors, self.options.max_concurrency, spawn),
            arguments={**self.arguments, **more},
            live_arguments={**self.live_arguments, **(non_freezable_kwargs or {})},
        )
        fork.check_fork()
        return fork

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

    def bind(self, system: "MiniAgents") -> Self:
        """The same agent in a certain system, where several are active."""
        return self._made(type(self), system=system)

    def as_kind(self, kind: type[A]) -> A:
        """The same agent, of a subclass that knows more of its arguments."""
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


@overload
def miniagent(wrapped: Any, /) -> MiniAgent: ...


@overload
def miniagent(
    *,
    alias: str | None = None,
    description: str | None = None,
    max_concurrency: int | None = None,
    errors: tuple[type[BaseException], ...] = (),
    supervision: Any = None,
    strategy: Any = None,
    retry: RetryPolicy | None = None,
    mailbox: Mailbox | None = None,
    handler_timeout: float | None = None,
    poison_after: int | None = None,
    passivate_after: float | None = None,
    durable: bool = False,
    node: str | None = None,
    non_freezable_kwargs: Mapping[str, Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Callable[[Any], MiniAgent]: ...


def miniagent(
    wrapped: Any = None,
    /,
    *,
    alias: str | None = None,
    description: str | None = None,
    max_concurrency: int | None = None,
    errors: tuple[type[BaseException], ...] = (),
    supervision: Any = None,
    strategy: Any = None,
    retry: RetryPolicy | None = None,
    mailbox: Mailbox | None = None,
    handler_timeout: float | None = None,
    poison_after: int | None = None,
    passivate_after: float | None = None,
    durable: bool = False,
    node: str | None = None,
    non_freezable_kwargs: Mapping[str, Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Any:
    """Turn an async function, or a class with an async `__call__`, into an agent.

    A function's interactions run concurrently. A class has one instance, which lives across interactions and serves
    them one at a time: `__init__(**arguments)` once, `__call__(ctx, **arguments)` for each.

    Args:
        wrapped: The function or class, where the decorator is used bare.
        alias: The agent's name; by default that of the function or class.
        description: What it is for; by default the docstring.
        max_concurrency: How many interactions of a function run at once, 1 or more; None for no bound.
        errors: Exceptions that are answers to the caller, not crashes.
        supervision: The strategy for its own restarts; by default without a limit, with growing backoff.
        strategy: The strategy for the actors that it spawns.
        retry: Whether a message that crashed it is tried again.
        mailbox: Its mailbox; by default unbounded.
        handler_timeout: Seconds that an interaction may run.
        poison_after: With `retry`: after so many crashes a message is set aside, also where `retry` has more attempts.
        passivate_after: Seconds without a call after which it gives its memory back; None for never.
        durable: Needs a journal.
        node: Where to place it, across machines.
        non_freezable_kwargs: Live arguments, passed as they are.
        kwargs: Arguments whose names the decorator takes for itself.
        **arguments: Arguments, frozen deeply.

    Raises:
        TypeError: It is no async function and no class with an async `__call__`, or takes no context.
        InvalidOptionError: An option is outside its range.
    """

    def decorate(target: Any) -> MiniAgent:
        is_class = isinstance(target, type)
        function = getattr(target, "__call__", None) if is_class else target  # noqa: B004 - it is looked at, not called
        if not inspect.iscoroutinefunction(function):
            raise TypeError(
                f"@miniagent is for an async function, or a class with `async def __call__(self, ctx)`, not {target!r}"
            )
        _check_takes_context(target, function)
        if max_concurrency is not None and is_class:
            raise InvalidOptionError(
                f"agent {target.__name__}: max_concurrency= is for functions; an instance of a class serves one call "
                f"at a time"
            )
        check_count(f"agent {target.__name__}: max_concurrency=", max_concurrency, 1, or_none=True)
        check_exceptions(f"agent {target.__name__}: errors=", errors)
        spawn = SpawnOptions(durable=durable).but(
            mailbox=mailbox,
            handler_timeout=handler_timeout,
            poison_after=poison_after,
            retry=retry,
            supervision=supervision,
            strategy=strategy,
            passivate_after=passivate_after,
            node=node,
        )
        agent = MiniAgent(
            target,
            alias=alias,
            description=description,
            options=AgentOptions(errors, max_concurrency, spawn),
            arguments={**arguments, **(kwargs or {})},
            live_arguments=non_freezable_kwargs or {},
        )
        agent.check_fork()
        return agent

    return decorate if wrapped is None else decorate(wrapped)


def _check_takes_context(target: Any, function: Any) -> None:
    """Check that an agent takes what it is called with first.

    Raises:
        TypeError: It does not.
    """
    is_class = isinstance(target, type)
    called = inspect.signature(function, follow_wrapped=False)
    try:
        called.bind_partial(*(("self", "ctx") if is_class else ("ctx",)))
    except TypeError:
        how = "async def __call__(self, ctx)" if is_class else f"async def {target.__name__}(ctx)"
        raise TypeError(
            f"agent {target.__name__}: takes no context: its first parameter is the InteractionContext; write "
            f"`{how}`, not {called}"
        ) from None
