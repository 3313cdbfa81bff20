"""Arguments: what the constructor of an actor takes, checked where the actor is spawned."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from miniagents.errors import AgentArgumentError
from miniagents.supervision.checking import check_kind


@lru_cache(maxsize=4096)
def parameters(function: Callable[..., Any], skip: int) -> tuple[frozenset[str], frozenset[str], bool]:
    """Return what a function takes by name.

    Args:
        function: The function.
        skip: How many of its first parameters are filled by the runtime.

    Returns:
        All names, those without a default, and whether it takes any others (`**kwargs`).
    """
    names, required, others = set(), set(), False
    for parameter in list(inspect.signature(function).parameters.values())[skip:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            others = True
        elif parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
            names.add(parameter.name)
            if parameter.default is inspect.Parameter.empty:
                required.add(parameter.name)
    return frozenset(names), frozenset(required), others


def merged(arguments: Mapping[str, Any], kwargs: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The arguments that were given by name, and those that `kwargs=` holds.

    Raises:
        InvalidOptionError: `kwargs` is no mapping.
    """
    if kwargs is None:
        return arguments
    check_kind("kwargs=", kwargs, Mapping, or_none=True)
    return {**arguments, **kwargs}


def by_name(actor: Any, args: Iterable[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an actor's constructor by name, those that were given by position first.

    Raises:
        AgentArgumentError: The actor is no class, its constructor takes fewer arguments by position, or an argument was
            given twice.
    """
    given = tuple(args)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
    taken = inspect.signature(actor).parameters.values() if isinstance(actor, type) else ()
    names = [parameter.name for parameter in taken if parameter.kind in kinds]
    shown = getattr(actor, "__name__", repr(actor))
    if len(given) > len(names):
        raise AgentArgumentError(
            f"{shown}: takes {len(names)} arguments by position, not {len(given)}; give the others by name"
        )
    positional = dict(zip(names, given, strict=False))
    if twice := sorted(positional.keys() & arguments.keys()):
        raise AgentArgumentError(f"{shown}: the argument {twice[0]!r} was given by position and by name; give it once")
    return {**positional, **arguments}


def check_names(actor: type, given: Iterable[str]) -> None:
    """Check that the constructor of an actor takes arguments of these names.

    Raises:
        AgentArgumentError: It does not; the text names the argument, and those that there are.
    """
    constructor: Any = actor.__init__  # type: ignore[misc]  # of whatever subclass it is
    if constructor is not object.__init__:
        names, _, others = parameters(constructor, 1)
    elif "__new__" in {name for kind in actor.__mro__[:-1] for name in vars(kind)}:
        return  # what that takes is for it to say
    else:
        names, others = frozenset(), False
    for name in given:
        if name not in names and not others:
            takes = ", ".join(sorted(names)) or "no arguments"
            raise AgentArgumentError(
                f"{actor.__name__}: takes no argument {name!r}; it takes {takes}, and spawn() itself takes "
                f"name, options and kwargs"
            )
