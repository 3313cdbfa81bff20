"""Names: what an actor is made of, as data that another node can make it of. Nothing is pickled.

A class or a function travels as `module:qualname`, and the other node imports the module. Options are dataclasses of
this package; they travel as their fields.
"""

import dataclasses
import enum
import importlib
import sys
from collections.abc import Mapping
from typing import Any

from miniagents.agents.agent import MiniAgent
from miniagents.agents.durable.finding import agent_of
from miniagents.cluster import items
from miniagents.errors import DecodeError, NotSendableError
from miniagents.messages import FrozenDict, freeze

_ENUM, _NAMED, _TUPLE, _DATA = "e", "n", "t", "d"


def name_of(value: Any, path: str) -> str:
    """Return the name by which another node can import a class or a function.

    Args:
        value: The class or function.
        path: The path of the actor, for errors.

    Raises:
        NotSendableError: It has no such name: it is a lambda, was defined inside of a function, or in `__main__`.
    """
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    shown = qualname or repr(value)
    if not module or not qualname or "<" in qualname:
        raise NotSendableError(
            f"{path}: {shown} cannot be started on another node: it was defined inside of a function, or is a lambda; "
            f"define it at the top of a module"
        )
    if module == "__main__":
        raise NotSendableError(
            f"{path}: {shown} cannot be started on another node: it was defined in __main__, the script that was "
            f"started; move it into a module that the script imports"
        )
    return f"{module}:{qualname}"


def named(name: object) -> Any:
    """Import the class or function of a name.

    Raises:
        DecodeError: There is none: the module cannot be imported here, or has nothing of that name.
    """
    module, _, qualname = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not module or not qualname:
        raise DecodeError(f"{name!r} is not the name of a class or a function")
    try:
        value: Any = importlib.import_module(module)
        for part in qualname.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        raise DecodeError(f"{name!r} cannot be imported on this node: {error}") from error
    return value


def factory_to_wire(actor: Any, kwargs: Mapping[str, Any], path: str) -> list[Any]:
    """Return what an actor is made of, as plain data.

    Args:
        actor: A class of actors, or an agent.
        kwargs: The arguments of its constructor; those of a spawned agent are part of it.
        path: The path of the actor, for errors.

    Raises:
        NotSendableError: It cannot be made on another node.
        UnencodableError: The wire cannot carry an argument.
    """
    if not isinstance(actor, MiniAgent):
        return [name_of(actor, path), items.value_to_wire(freeze(dict(kwargs), path), path), None]
    if actor.live_arguments:
        names = ", ".join(sorted(actor.live_arguments))
        raise NotSendableError(f"{path}: live arguments ({names}) cannot travel to another node")
    arguments = FrozenDict({**actor.arguments, **freeze(dict(kwargs), path)})
    return [name_of(actor.wrapped, path), items.value_to_wire(arguments, path), actor.alias]


def factory_from_wire(data: Any) -> tuple[Any, dict[str, Any]]:
    """Return a class of actors and the arguments of its constructor, or an agent and no arguments.

    Raises:
        DecodeError: It cannot be made here.
    """
    name, wire, alias = data
    value, arguments = named(name), dict(items.value_from_wire(wire))
    if alias is None:
        return value, arguments
    agent = value if isinstance(value, MiniAgent) else agent_of(value, alias, sys.modules.get(name.partition(":")[0]))
    if agent is None:
        raise DecodeError(f"{name!r} is no agent on this node")
    return agent.fork(alias=alias, options=agent.options.spawn, kwargs=arguments), {}


def options_to_wire(value: Any, path: str) -> Any:
    """Return an option, or options, as plain data.

    Raises:
        NotSendableError: An option has no form that another node understands, as a function that is a lambda.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, enum.Enum):
        return [_ENUM, name_of(type(value), path), value.name]
    if isinstance(value, tuple):
        return [_TUPLE, *(options_to_wire(part, path) for part in value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: options_to_wire(getattr(value, field.name), path)
            for field in dataclasses.fields(value)
            if field.name not in ("node", "placement")  # where it is has been decided
        }
        return [_DATA, name_of(type(value), path), fields]
    return [_NAMED, name_of(value, path)]


def options_from_wire(data: Any) -> Any:
    """Return the option, or the options, of plain data.

    Raises:
        DecodeError: The data are not those of an option.
    """
    if not isinstance(data, list):
        return data
    match data:
        case [str(kind), *parts] if kind == _TUPLE:
            return tuple(options_from_wire(part) for part in parts)
        case [str(kind), name] if kind == _NAMED:
            return named(name)
        case [str(kind), name, str(member)] if kind == _ENUM:
            return named(name)[member]
        case [str(kind), str(name), dict(fields)] if kind == _DATA and name.startswith("miniagents."):
            return named(name)(**{field: options_from_wire(value) for field, value in fields.items()})
    raise DecodeError(f"these data are not those of an option: {data!r}")


def budget_to_wire(budget: Any, shared: str) -> list[Any]:
    """Return a budget of the driver, as plain data that other nodes make their part of it of.

    Args:
        budget: The budget.
        shared: The name under which all nodes have it together, if it has none of its own.
    """
    what = f"budget {shared!r}"
    terms = freeze(dict(budget.terms), what)
    return [name_of(type(budget), what), items.value_to_wire(terms, what), budget.shared or shared]


def budget_from_wire(data: Any) -> Any:
    """Return the part that this node has of a budget of the driver.

    Raises:
        DecodeError: It cannot be made here.
    """
    name, terms, shared = data
    return named(name)(**items.value_from_wire(terms), shared=shared)
