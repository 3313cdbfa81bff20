"""An agent that is named on the command line: `module:agent`."""

import inspect
from typing import Any

from miniagents.agents import MiniAgent
from miniagents.errors import InvalidOptionError
from miniagents.ext.importing import import_named, own_trace


def load_agent(target: str, *, factory: bool = False) -> MiniAgent:
    """Import an agent, as `module:agent` or `package.module:namespace.agent`. The working directory is looked in first.

    Args:
        target: Where it is.
        factory: It names a function that is called, without arguments, and gives the agent.

    Raises:
        InvalidOptionError: It cannot be imported, or is no agent.
    """
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise InvalidOptionError(f"{target!r}: name an agent as module:agent, for example mypackage.agents:writer")
    found: Any = import_named(module_name)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            names = getattr(found, "__dict__", {})
            agents = [key for key, value in names.items() if isinstance(value, MiniAgent)]
            there = f"; its agents: {', '.join(agents)}" if agents else ""
            raise InvalidOptionError(f"{target!r}: {module_name} has no {name}{there}") from error
    if factory:
        if not callable(found) or isinstance(found, MiniAgent):
            raise InvalidOptionError(f"{target!r}: --factory is for a function that gives the agent, not {found!r}")
        try:
            found = found()
        except Exception as error:
            raise InvalidOptionError(f"{target!r}: its call failed:\n{own_trace(error)}") from error
        if inspect.iscoroutine(found):
            found.close()
            raise InvalidOptionError(f"{target!r}: --factory takes a plain function, not an async one")
    if not isinstance(found, MiniAgent):
        hint = ""
        if not factory and callable(found):
            hint = "; decorate it with @miniagent"
            if not isinstance(found, type) and not inspect.iscoroutinefunction(found):
                hint += ", or say --factory if calling it gives the agent"
        raise InvalidOptionError(f"{target!r} is no agent, but {found!r}{hint}")
    return found
