"""Finding the agents of recorded calls among the modules that are loaded. No module is ever imported for that."""

import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from miniagents.agents.agent import MiniAgent
from miniagents.agents.durable.identity import StoredAgent, identity_of, stored
from miniagents.agents.durable.names import main_name, name_of
from miniagents.messages import FrozenDict


def agent_named(name: str, arguments: Mapping[str, Any] | None = None) -> MiniAgent | None:
    """Return the agent of a name, as the program has it now.

    Args:
        name: `module:qualname#alias`.
        arguments: The frozen arguments that the agent is to have; None for any.

    Returns:
        The agent: one that a module has as a variable, or else a fork of the one that the code defines. None if no
        module that is loaded has it.

    Raises:
        LookupError: An agent among the arguments is in no module that is loaded.
    """
    module_name, _, rest = name.partition(":")
    qualname, _, alias = rest.rpartition("#")
    module = _module(module_name)
    # A fork of an agent of a library is a variable of the program: the agent's own module first, then all others.
    for place in (module, *tuple(sys.modules.values())):
        for agent in _agents_of(place):
            if name_of(agent) == name and (arguments is None or stored(agent.arguments) == arguments):
                return agent
    code = _walk(module, qualname) if module is not None else None
    base = code if isinstance(code, MiniAgent) else agent_of(code, alias, module)
    if base is None or arguments is None:
        return base
    before = stored(base.arguments)
    changed = {key: value for key, value in arguments.items() if before.get(key) != value}
    return base.fork(alias=alias, options=base.options.spawn, kwargs=found(changed))


def agent_of(code: Any, alias: str, module: ModuleType | None) -> MiniAgent | None:
    """Return the agent that a module has made of a class or function, as in `cart = miniagent(Cart)`.

    Args:
        code: The class or function.
        alias: The alias of the agent. An agent that has it comes before others that are made of the same code.
        module: The module.

    Returns:
        The agent; None if the module has none.
    """
    agents = [agent for agent in _agents_of(module) if agent.wrapped is code]
    return next((agent for agent in agents if agent.alias == alias), agents[0] if agents else None)


def found(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored arguments as the code gets them, with the agents that the program has now.

    Raises:
        LookupError: An agent is in no module that is loaded.
    """
    return {name: _found(value) for name, value in arguments.items()}


def _found(value: Any) -> Any:
    if isinstance(value, StoredAgent):
        agent = agent_named(value.agent, value.arguments)
        if agent is None:
            raise LookupError(f"agent {value.agent} is in no module that is loaded; import the module first")
        return agent
    if isinstance(value, tuple):
        return tuple(map(_found, value))
    return FrozenDict(found(value)) if isinstance(value, FrozenDict) else value


def version_now(name: str) -> str | None:
    """Return the version that the agent of a name has now; None if it is not loaded."""
    agent = agent_named(name)
    return identity_of(agent).version if agent is not None else None


def _module(name: str) -> ModuleType | None:
    main = sys.modules.get("__main__")
    if main is not None and name == main_name():
        return main
    return sys.modules.get(name)


def _agents_of(module: ModuleType | None) -> Iterator[MiniAgent]:
    for value in tuple(vars(module).values()) if isinstance(module, ModuleType) else ():
        if isinstance(value, MiniAgent):
            yield value


def _walk(module: ModuleType, qualname: str) -> Any:
    value: Any = module
    for part in qualname.split("."):
        value = getattr(value, part, None)
    return value
