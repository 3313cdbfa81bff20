"""Agents in a service: an ASGI app with plain JSON, and with the APIs of OpenAI and Anthropic.

The package needs the extra `serve`. The extra is loaded with the first of these names, so that `miniagents --help`
works without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from miniagents.errors import MissingDependencyError

if TYPE_CHECKING:
    from miniagents.ext.serving.app import agent_app
    from miniagents.ext.serving.asgi import AgentApp
    from miniagents.ext.serving.conversations.conversations import (
        ConversationStore,
        MemoryConversations,
        SavedConversation,
    )
    from miniagents.ext.serving.conversations.sqlite_conversations import SqliteConversations
    from miniagents.ext.serving.http.limits import Limits
    from miniagents.ext.serving.native.routes import sse
    from miniagents.ext.serving.openai.response_store import MemoryResponses, ResponseStore, StoredResponse
    from miniagents.ext.serving.served_agent import Served

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
    "ConversationStore": "conversations.conversations",
    "Limits": "http.limits",
    "MemoryConversations": "conversations.conversations",
    "MemoryResponses": "openai.response_store",
    "ResponseStore": "openai.response_store",
    "SavedConversation": "conversations.conversations",
    "Served": "served_agent",
    "SqliteConversations": "conversations.sqlite_conversations",
    "StoredResponse": "openai.response_store",
    "agent_app": "app",
    "sse": "native.routes",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"{__name__} needs {error.name}: pip install 'miniagents[serve]'") from error
    return getattr(module, name)
