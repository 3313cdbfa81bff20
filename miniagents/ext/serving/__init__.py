"""Agents in a service: an ASGI app with plain JSON, and OpenAI's APIs, for its clients. It needs the extra `serve`."""

try:
    import starlette as _  # noqa: F401
except ImportError as _error:
    from miniagents.errors import MissingDependencyError

    raise MissingDependencyError("miniagents.ext.serving needs starlette: pip install 'miniagents[serve]'") from _error

from miniagents.ext.serving.app import AgentApp, agent_app
from miniagents.ext.serving.conversations import ConversationStore, MemoryConversations, SavedConversation
from miniagents.ext.serving.limits import Limits
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
]
