"""Agents in a service: an ASGI app with plain JSON, and OpenAI's and Anthropic's APIs, for its clients.

It needs the extra `serve`, which is loaded with the first of these names: the command line can tell of `serve` without.
"""

import importlib
from typing import TYPE_CHECKING, Any

from miniagents.errors import MissingDependencyError

if TYPE_CHECKING:
    from miniagents.ext.serving.app import agent_app
    from miniagents.ext.serving.asgi import AgentApp
    from miniagents.ext.serving.conversations import ConversationStore, MemoryConversations, SavedConversation
    from miniagents.ext.serving.limits import Limits
    from miniagents.ext.serving.routes import sse
    from miniagents.ext.serving.served import Served
    from miniagents.ext.serving.sqlite_conversations import SqliteConversations
    from miniagents.ext.serving.store import MemoryResponses, ResponseStore, StoredResponse

__all__ = [
    "AgentApp",
    "ConversationStore",
    "Limits",
    "MemoryConversations",
    "MemoryResponses",
    "ResponseStore",
    "SavedConversation",
    "Served",
    "SqliteConversations",
    "StoredResponse",
    "agent_app",
    "sse",
]

_MODULES = {
    "AgentApp": "asgi",
    "ConversationStore": "conversations",
    "Limits": "limits",
    "MemoryConversations": "conversations",
    "MemoryResponses": "store",
    "ResponseStore": "store",
    "SavedConversation": "conversations",
    "Served": "served",
    "SqliteConversations": "sqlite_conversations",
    "StoredResponse": "store",
    "agent_app": "app",
    "sse": "routes",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"{__name__} needs {error.name}: pip install 'miniagents[serve]'") from error
    return getattr(module, name)
