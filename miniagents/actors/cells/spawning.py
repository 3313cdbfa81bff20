"""`Spawner` and `PoolOptions`: the signatures of `spawn` and `pool`, for systems and contexts."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ParamSpec, Protocol, TypedDict, TypeVar, overload

from miniagents.actors.arguments import by_name, merged
from miniagents.actors.messaging.options import SpawnOptions
from miniagents.actors.messaging.ref import ActorRef
from miniagents.supervision import Restart, Routing, Shutdown, Strategy

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
P = ParamSpec("P")


class Spawnable(Protocol[R_co]):
    """An agent, as type checkers see it: with the class of its references. The attribute does not exist at run time."""

    @property
    def _reference(self) -> R_co: ...


class Receiver(Protocol):
    """An actor, as type checkers see it here."""

    def receive(self, message: Any, ctx: Any, /) -> Coroutine[Any, Any, Any]:
        """Handle one message."""


class Spawner:
    """An object that starts actors: a system, or a context. `_spawn` says where in the tree."""

    __slots__ = ()

    # A type checker compares the arguments with the constructor where `spawn` takes nothing for itself, since a
    # `ParamSpec` cannot stand beside other keywords. Each of the first three has one of these keywords.
    @overload
    def spawn(
        self,
        actor: Callable[..., Receiver],
        /,
        *args: Any,
        name: str | None,
        options: SpawnOptions | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> ActorRef: ...

    @overload
    def spawn(
        self,
        actor: Callable[..., Receiver],
        /,
        *args: Any,
        options: SpawnOptions | None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> ActorRef: ...

    @overload
    def spawn(
        self, actor: Callable[..., Receiver], /, *args: Any, kwargs: Mapping[str, Any] | None, **arguments: Any
    ) -> ActorRef: ...

    @overload
    def spawn(
        self,
        actor: Spawnable[R],
        /,
        *,
        name: str | None = None,
        options: SpawnOptions | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> R: ...

    @overload  # the class of an agent, which mypy takes for the plain class that it was before `@miniagent`
    def spawn(
        self,
        actor: Callable[..., Callable[..., Coroutine[Any, Any, None]]],
        /,
        *,
        name: str | None,
        options: SpawnOptions | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> Any: ...

    @overload
    def spawn(
        self, actor: Callable[P, Callable[..., Coroutine[Any, Any, None]]], /, *args: P.args, **arguments: P.kwargs
    ) -> Any: ...

    @overload  # the last, since it is the one that a type checker speaks of if none fits
    def spawn(self, actor: Callable[P, Receiver], /, *args: P.args, **arguments: P.kwargs) -> ActorRef: ...

    def spawn(  # type: ignore[misc]  # mypy does not see that `**arguments` takes what a `ParamSpec` does
        self,
        actor: object,
        /,
        *args: Any,
        name: str | None = None,
        options: SpawnOptions | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> Any:
        """Start an actor: of a system at the top of the tree, of a context as a child of the actor or agent that it
        belongs to.

        At the top, and as a child of an actor without a `strategy`, an actor is restarted after every crash: at once
        the first time, and then with growing backoff. A first start that fails ends it (`ref.started()` tells).

        Args:
            actor: A subclass of `Actor`; in a system of agents an agent, too.
            name: The name; by default that of the class, or the alias of the agent, and a number.
            options: The rarer options.
            kwargs: Arguments of the constructor whose names `spawn` takes for itself.
            *args: Arguments of the constructor of an actor, by position.
            **arguments: Arguments of the constructor, by name.

        Returns:
            The reference, at once; the reference of an agent can be called. `on_start` runs in the actor, before its
            first message.

        Raises:
            AgentArgumentError: The constructor takes no argument of that name, or not as many by position.
            ValueError: The name is taken, empty, or has a slash.
            SystemNotRunningError: The system is not running, or the actor is stopping.
        """
        if args:
            arguments = by_name(actor, args, arguments)
        return self._spawn(actor, name, options, merged(arguments, kwargs))

    def _spawn(self, actor: object, name: str | None, options: SpawnOptions | None, kwargs: Mapping[str, Any]) -> Any:
        """Start an actor where this spawner does."""
        raise NotImplementedError


class PoolOptions(TypedDict, total=False):
    """The arguments of `pool` besides the actor and the number of members: those of `Pool`, which has their defaults.

    Attributes:
        routing: The rule by which a member gets a message.
        key: For `Routing.CONSISTENT_HASH`: a function of the message. Equal keys go to the same member.
        name: The name of the pool; None for that of the class and a number.
        strategy: The strategy for the members; None for restarts without a limit, with growing backoff.
        restart: The restart type of the members.
        shutdown: Seconds that a member gets to end, or a `Shutdown`.
        options: The rarer options of the members.
        kwargs: Arguments of their constructor.
    """

    routing: Routing
    key: Callable[[Any], object] | None
    name: str | None
    strategy: Strategy | None
    restart: Restart
    shutdown: float | Shutdown | None
    options: SpawnOptions | None
    kwargs: Mapping[str, Any] | None
