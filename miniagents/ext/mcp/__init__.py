"""The Model Context Protocol: tools, resources and prompts of MCP servers for agents, and agents as tools.

The package needs the extra `mcp`. The extra is loaded with the first of these names.
"""

from typing import TYPE_CHECKING

from miniagents.ext.lazy import lazy_names

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

__getattr__ = lazy_names(__name__, _MODULES, "mcp")
