"""What tells one call from another in the journal: the identity of its agent, its version, its arguments.

`stored` gives arguments as the journal keeps them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, get_origin

import msgspec

from miniagents.actors import ActorRef
from miniagents.agents.agent import MiniAgent
from miniagents.agents.durable.names import name_of
from miniagents.agents.durable.versions import code_key, version_of
from miniagents.errors import AgentArgumentError, NotSendableError
from miniagents.messages import EMPTY, DataMessage, FrozenDict, Message, Secret, encode, freeze

_pack = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Identity:
    """An agent, as a journal knows it.

    Attributes:
        name: `module:qualname#alias`, the same whether its file runs as a program or is imported.
        version: The version of its code: `version=` of the decorator, or a hash.
        arguments: The key of its arguments.
    """

    name: str
    version: str
    arguments: str


@lru_cache(maxsize=4096)
def identity_of(agent: MiniAgent) -> Identity:
    """Return the identity of an agent.

    Raises:
        AgentArgumentError: A live argument has no key that outlives the process.
    """
    own = agent.options.version
    return Identity(
        name_of(agent),
        own if own is not None else version_of(agent.wrapped),
        key_of_arguments(agent, {**agent.arguments, **agent.live_arguments}),
    )


def key_of_arguments(agent: MiniAgent, arguments: Mapping[str, Any]) -> str:
    """Return the key of arguments of an agent, or of a call of it: equal in every process.

    Args:
        agent: The agent.
        arguments: Frozen and live arguments. A live one enters the key by its `journal_key`, a function or class by its
            name and version. Secrets, and what the agent exempts, are in no key.

    Raises:
        AgentArgumentError: A live argument has no such key.
    """
    exempt = agent.in_no_key
    described: dict[str, object] = {}
    for name, value in arguments.items():
        if name not in exempt and not isinstance(value, Secret):
            described[name] = _described(value, agent, name)
    try:
        return DataMessage(FrozenDict(described)).content_key
    except NotSendableError:
        for name, value in described.items():
            _check_travels(agent, name, value, arguments[name])
        raise


def _check_travels(agent: MiniAgent, name: str, described: object, value: object) -> None:
    try:
        encode(DataMessage(FrozenDict({name: described})))
    except NotSendableError:
        raise _without_key(agent, name, value) from None


def _without_key(agent: MiniAgent, name: str, value: object) -> AgentArgumentError:
    return AgentArgumentError(
        f"agent {agent.alias}: the live argument {name}= ({type(value).__name__}) has no key that outlives the "
        f"process, and the agent is durable; give the object an attribute journal_key: a text that is equal "
        f"where the object does the same"
    )


class StoredAgent(Message, tag="miniagents:StoredAgent"):
    """An agent among the arguments that a journal keeps.

    Attributes:
        agent: Its name.
        arguments: Its frozen arguments, as they are stored.
    """

    agent: str
    arguments: FrozenDict[str, Any] = EMPTY


def stored(arguments: Mapping[str, Any]) -> FrozenDict[str, Any]:
    """Return the arguments that a journal keeps: all but secrets, and objects that it knows by their `journal_key`.
    Agents are kept by their names and arguments."""
    return FrozenDict(
        {
            name: _stored(value)
            for name, value in arguments.items()
            if not isinstance(value, Secret) and not isinstance(getattr(value, "journal_key", None), str)
        }
    )


def _stored(value: Any) -> Any:
    if isinstance(value, MiniAgent):
        return StoredAgent(agent=name_of(value), arguments=stored(value.arguments))
    if isinstance(value, tuple):
        return tuple(map(_stored, value))
    return stored(value) if isinstance(value, FrozenDict) else value


def slot_of(job: str, chain: bytes, identity: Identity, arguments: str, label: str | None) -> bytes:
    """Return the slot of a call: the hash of all that is equal in calls that may be the same one, but for the input.

    Args:
        job: The name of the job.
        chain: The names of the agents from the root to this one, as `chained` joins them.
        identity: The agent.
        arguments: The key of the arguments of the call.
        label: The label of the call.
    """
    return _hash((job, chain, identity.version, identity.arguments, arguments, label))


def chained(above: bytes, name: str) -> bytes:
    """Return the chain of agents with one more at its end."""
    return _hash((above, name))


@lru_cache(maxsize=4096)  # an agent calls others many times, mostly without arguments
def _hash(parts: tuple[object, ...]) -> bytes:
    return hashlib.sha256(_pack(parts)).digest()[:16]


def _described(value: Any, agent: MiniAgent, name: str) -> object:
    """Return a value of an argument with keys in the place of live objects."""
    key = agent.key_of_live(name, value)
    if key is not None:
        return f"{type(value).__qualname__} {key}"
    if isinstance(value, MiniAgent):
        other = identity_of(value)
        return f"agent {other.name} {other.version} {other.arguments}"
    if isinstance(value, ActorRef):
        return f"actor {value.path}"
    if isinstance(value, MethodType):
        return (f"method {value.__func__.__qualname__}", _described(value.__self__, agent, name))
    if isinstance(value, (type, FunctionType)) and get_origin(value) is None:
        return f"code {code_key(value)}"
    if isinstance(value, partial):
        arguments = tuple(_described(item, agent, name) for item in (value.func, value.args, value.keywords))
        return ("partial", *arguments)
    if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType | None):
        return (f"method {value.__qualname__}", _described(value.__self__, agent, name))
    if isinstance(value, BuiltinFunctionType) or get_origin(value) is not None:
        return f"code {value!r}"
    if isinstance(value, Mapping):
        return FrozenDict(
            {key: _described(item, agent, name) for key, item in value.items() if not isinstance(item, Secret)}
        )
    if isinstance(value, (tuple, list)):
        return tuple(_described(item, agent, name) for item in value if not isinstance(item, Secret))
    if isinstance(value, frozenset):
        return frozenset(_described(item, agent, name) for item in value if not isinstance(item, Secret))
    try:
        return freeze(value, name)
    except NotSendableError:
        raise _without_key(agent, name, value) from None
