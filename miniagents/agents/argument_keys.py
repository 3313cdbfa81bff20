"""Canonical keys of arguments: equal in every process, for whatever keeps results beyond the life of one.

A key tells what the arguments are, not which objects: a live object counts by its name. Two clients of one class have
the same key, although forks with these two clients are two agents.
"""

from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, get_origin

from miniagents.actors import ActorRef
from miniagents.agents.agent import MiniAgent
from miniagents.errors import NotSendableError
from miniagents.messages import DataMessage, FrozenDict, Message, Secret, freeze


class _LiveObject(Message, tag="miniagents:LiveObject"):
    """Stands in a key for an object that cannot be frozen."""

    name: str


def arguments_key(arguments: Mapping[str, object]) -> str:
    """Return the canonical key of the arguments of an agent or of a call.

    The order of the arguments does not count, and neither does the metadata of a message. Secrets are left out.

    Args:
        arguments: Arguments, frozen or live. A function or class counts by its module and name, an agent by its
            `agent_key`, a reference by its path, another live object by the name of its class.

    Returns:
        64 hexadecimal digits (SHA-256).

    Raises:
        UnencodableError: An argument has no canonical encoding, such as an integer beyond 64 bits.
    """
    return DataMessage(_described_items(arguments)).content_key


def agent_key(agent: MiniAgent) -> str:
    """Return the canonical key of an agent: its code by name, its alias, and its arguments.

    Returns:
        64 hexadecimal digits (SHA-256).

    Raises:
        UnencodableError: An argument has no canonical encoding, such as an integer beyond 64 bits.
    """
    live = agent.live_arguments
    return arguments_key({"code": agent.wrapped, "alias": agent.alias, "arguments": agent.arguments, "live": live})


def _described_items(items: Mapping[Any, object]) -> FrozenDict[Any, object]:
    return FrozenDict({key: _described(value) for key, value in items.items() if not isinstance(value, Secret)})


def _described(value: object) -> object:
    """Return a value with a name in the place of each live object."""
    if isinstance(value, Mapping):
        return _described_items(value)
    if isinstance(value, (tuple, list)):
        return tuple(_described(item) for item in value if not isinstance(item, Secret))
    if isinstance(value, frozenset):
        return frozenset(_described(item) for item in value if not isinstance(item, Secret))
    if isinstance(value, MiniAgent):
        return _LiveObject(name=agent_key(value))
    if isinstance(value, ActorRef):
        return _LiveObject(name=value.path)
    if isinstance(value, (type, FunctionType, BuiltinFunctionType, MethodType)):
        return _LiveObject(name=_name_of(value))
    if get_origin(value) is not None:
        return _LiveObject(name=repr(value))  # list[int]
    try:
        return freeze(value, "an argument")
    except NotSendableError:
        return _LiveObject(name=_name_of(type(value)))


def _name_of(code: type | Callable[..., object]) -> str:
    return f"{code.__module__}:{code.__qualname__}"
