"""The Agent2Agent protocol: remote agents, called as ordinary ones. `AgentApp.serve_a2a` is the other direction.

The package needs the extra `a2a`. The extra is loaded with the first of these names.
"""

from typing import TYPE_CHECKING

from miniagents.ext.lazy import lazy_names

if TYPE_CHECKING:
    from miniagents.ext.a2a.agent import A2aAgent
    from miniagents.ext.a2a.asking import InputRequired

__all__ = ["A2aAgent", "InputRequired"]

_MODULES = {
    "A2aAgent": "miniagents.ext.a2a.agent",
    "InputRequired": "miniagents.ext.a2a.asking",
}

__getattr__ = lazy_names(__name__, _MODULES, "a2a")
