"""Agents in a service: an ASGI app with plain JSON, and with the APIs of OpenAI and Anthropic.

The package needs the extra `serve`. The extra is loaded with the first of these names, so that `miniagents --help`
works without it.
"""

from typing import TYPE_CHECKING

from miniagents.ext.lazy import lazy_names

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
    "AgentApp": "miniagents.ext.serving.asgi",
    "ConversationStore": "miniagents.ext.serving.conversations.conversations",
    "Limits": "miniagents.ext.serving.http.limits",
    "MemoryConversations": "miniagents.ext.serving.conversations.conversations",
    "MemoryResponses": "miniagents.ext.serving.openai.response_store",
    "ResponseStore": "miniagents.ext.serving.openai.response_store",
    "SavedConversation": "miniagents.ext.serving.conversations.conversations",
    "Served": "miniagents.ext.serving.served_agent",
    "SqliteConversations": "miniagents.ext.serving.conversations.sqlite_conversations",
    "StoredResponse": "miniagents.ext.serving.openai.response_store",
    "agent_app": "miniagents.ext.serving.app",
    "sse": "miniagents.ext.serving.native.routes",
}

__getattr__ = lazy_names(__name__, _MODULES, "serve")
