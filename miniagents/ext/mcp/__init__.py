"""The Model Context Protocol: tools, resources and prompts of MCP servers for agents, and agents as tools.

The package needs the extra `mcp`. The extra is loaded with the first of these names.
"""

import importlib
from typing import TYPE_CHECKING, Any

from miniagents.errors import MissingDependencyError

if TYPE_CHECKING:
    from miniagents.ext.mcp.asking import Elicitation
    from miniagents.ext.mcp.reading import ResourceMessage
    from miniagents.ext.mcp.server import McpServer
    from miniagents.ext.serving.mcp_app import McpApp

__all__ = [
    "Elicitation",
    "McpApp",
    "McpServer",
    "ResourceMessage",
]

_MODULES = {
    "Elicitation": "miniagents.ext.mcp.asking",
    "McpApp": "miniagents.ext.serving.mcp_app",
    "McpServer": "miniagents.ext.mcp.server",
    "ResourceMessage": "miniagents.ext.mcp.reading",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(_MODULES[name])
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"{__name__} needs {error.name}: pip install 'miniagents[mcp]'") from error
    return getattr(module, name)
