"""Arguments of agents: checks of their names, and their deep freezing."""

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar, get_origin

from miniagents.actors import RESERVED_NAMES
from miniagents.actors.arguments import parameters
from miniagents.errors import AgentArgumentError, NotSendableError, UnencodableError
from miniagents.messages import FrozenDict, Secret, freeze
from miniagents.messages.frozen import is_frozen_record

T = TypeVar("T")


class _Live:
    """Marks a parameter that takes a live object."""


Live = Annotated[T, _Live()]
"""The annotation of a parameter that takes a live object: a function, a type, a client.

The object is passed as it is, as if it came through `non_freezable_kwargs`; a list becomes a tuple. Forks whose live
arguments are the same objects are equal.

Example:
    >>> @miniagent
    ... async def shouter(ctx, change: Live[Callable[[str], str]]):
    ...     ctx.reply(change(str(await ctx.message_promises)))
    >>> async with MiniAgents():
    ...     print(await shouter.fork(change=str.upper).inquire("hello"))
    HELLO
"""

SECRET_NAMES = frozenset({"api_key"})
"""The names of arguments that become `Secret`s."""


@lru_cache(maxsize=4096)
def live_parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the parameters that are annotated `Live[...]`."""
    return frozenset(
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if get_origin(parameter.annotation) is Annotated
        and any(isinstance(mark, _Live) for mark in parameter.annotation.__metadata__)
    )


def as_live(value: object) -> object:
    """Return a live argument, and a tuple in the place of a list, which might change."""
    return tuple(value) if isinstance(value, list) else value


def identity(value: object) -> object:
    """Return what is compared to tell one live argument from another: a value, or the identity of an object."""
    if isinstance(value, tuple):
        return tuple(identity(item) for item in value)
    is_value = (
        getattr(value, "__miniagents_immutable__", False)
        or typing.get_origin(value) is not None  # list[int] is made anew each time it is written
        or is_frozen_record(type(value))
    )
    return value if is_value else id(value)


def check_arguments(
    agent: str, function: Callable[..., Any], skip: int, arguments: Mapping[str, Any], where: str
) -> None:
    """Check that a function takes all of some arguments, and needs no others.

    Args:
        agent: The alias of the agent, for errors.
        function: The function.
        skip: The number of its first parameters that the runtime fills.
        arguments: The arguments.
        where: The name of the function, for errors.

    Raises:
        AgentArgumentError: The function does not take an argument, or lacks one. The text names that.
    """
    names, required, others = parameters(function, skip)
    unknown = [name for name in arguments if name not in names]
    if unknown and not others:
        takes = ", ".join(sorted(names)) or "none"
        raise AgentArgumentError(f"agent {agent}: {where} takes no argument {unknown[0]!r}; it takes: {takes}")
    missing = sorted(required - arguments.keys())
    if missing:
        hint = (
            f"; the runtime takes that name for itself, so give it through kwargs={{{missing[0]!r}: ...}}"
            if missing[0] in RESERVED_NAMES
            else ""
        )
        raise AgentArgumentError(f"agent {agent}: {where} needs an argument {missing[0]!r}{hint}")


def freeze_arguments(
    agent: str, arguments: Mapping[str, Any], live: frozenset[str] = frozenset()
) -> FrozenDict[str, Any]:
    """Return arguments as they go to an agent, deeply immutable.

    Args:
        agent: The alias of the agent, for errors.
        arguments: The arguments.
        live: The names of the live ones, which are passed as they are.

    Raises:
        AgentArgumentError: An argument cannot be frozen; live objects go through `non_freezable_kwargs`.
    """
    try:
        return FrozenDict(
            {
                name: Secret(value)
                if name in SECRET_NAMES and isinstance(value, str)
                else as_live(value)
                if name in live
                else freeze(value, name)
                for name, value in arguments.items()
            }
        )
    except (NotSendableError, UnencodableError) as error:
        raise AgentArgumentError(
            f"agent {agent}: argument {error}; a live object (a client, a callback, a list to fill) goes through "
            f"non_freezable_kwargs={{...}}"
        ) from None
