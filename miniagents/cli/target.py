"""`load_agent` and `load_agent_or_actor`: what is named on the command line, as `module:agent`."""

import inspect

from miniagents.actors import Actor
from miniagents.agents import MiniAgent
from miniagents.errors import InvalidOptionError
from miniagents.ext.importing import import_named, own_trace


def load_agent(target: str, *, factory: bool = False) -> MiniAgent:
    """Import an agent, from the working directory first.

    Args:
        target: The name of the agent: `module:agent` or `package.module:namespace.agent`.
        factory: Whether the name is that of a function that returns the agent; it is called without arguments.

    Returns:
        The agent.

    Raises:
        InvalidOptionError: The name cannot be imported, or is not that of an agent.

    Example:
        >>> load_agent("miniagents.testing:ScriptedModel").alias
        'ScriptedModel'
    """
    return _agent(target, _named(target, factory=factory), factory=factory)


def load_agent_or_actor(target: str, *, factory: bool = False) -> MiniAgent | type[Actor]:
    """Import an agent, as `load_agent` does, or a class of actors.

    Args:
        target: The name of the agent or of the class.
        factory: As in `load_agent`.

    Returns:
        The agent or the class.

    Raises:
        InvalidOptionError: The name cannot be imported, or is that of something else.
    """
    found = _named(target, factory=factory)
    if isinstance(found, type) and issubclass(found, Actor):
        return found
    return _agent(target, found, factory=factory)


def _named(target: str, *, factory: bool) -> object:
    """Return what has that name, or what it returns if it is a factory."""
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise InvalidOptionError(f"{target!r}: name an agent as module:agent, for example mypackage.agents:writer")
    target_object: object = import_named(module_name)
    for part in name.split("."):
        try:
            target_object = getattr(target_object, part)
        except AttributeError as error:
            names = getattr(target_object, "__dict__", {})
            agents = [key for key, value in names.items() if isinstance(value, MiniAgent)]
            agents_there = f"; its agents: {', '.join(agents)}" if agents else ""
            raise InvalidOptionError(f"{target!r}: {module_name} has no {name}{agents_there}") from error
    if factory:
        if not callable(target_object) or isinstance(target_object, MiniAgent):
            raise InvalidOptionError(
                f"{target!r}: --factory is for a function that gives the agent, not {target_object!r}"
            )
        try:
            target_object = target_object()
        except Exception as error:
            raise InvalidOptionError(f"{target!r}: its call failed:\n{own_trace(error)}") from error
        if inspect.iscoroutine(target_object):
            target_object.close()
            raise InvalidOptionError(f"{target!r}: --factory takes a plain function, not an async one")
    return target_object


def _agent(target: str, target_object: object, *, factory: bool) -> MiniAgent:
    """Return an object that was named, if it is an agent."""
    if not isinstance(target_object, MiniAgent):
        hint = ""
        if not factory and callable(target_object):
            hint = "; decorate it with @miniagent"
            if not isinstance(target_object, type) and not inspect.iscoroutinefunction(target_object):
                hint += ", or say --factory if calling it gives the agent"
        raise InvalidOptionError(f"{target!r} is no agent, but {target_object!r}{hint}")
    return target_object
