"""The agents under the import path of MiniAgents 0.0.35: `from miniagents.miniagents import MiniAgents`."""

from miniagents.agents import *  # noqa: F403
from miniagents.agents import __all__ as __all__
