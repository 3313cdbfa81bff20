"""Agents that talk to language models: of OpenAI, of Anthropic, and local ones, with tools, limits and budgets."""

from miniagents.ext.llms.anthropic import AnthropicAgent
from miniagents.ext.llms.budgets import Budget, Spent
from miniagents.ext.llms.cache import Cache
from miniagents.ext.llms.compact import Compact
from miniagents.ext.llms.fallback import Fallback
from miniagents.ext.llms.history_repair import well_formed
from miniagents.ext.llms.limits import RateLimit
from miniagents.ext.llms.llm_agent import LLMAgent
from miniagents.ext.llms.local import LocalAgent
from miniagents.ext.llms.messages import (
    AudioMessage,
    EmbeddingMessage,
    FileMessage,
    ImageMessage,
    ReplyMessage,
    ToolCall,
    ToolResultMessage,
    Usage,
)
from miniagents.ext.llms.native import NativeMessage
from miniagents.ext.llms.openai import OpenAIAgent, openai_embedding_agent
from miniagents.ext.llms.options import LLMOptions
from miniagents.ext.llms.partial import partial_outputs
from miniagents.ext.llms.parts import (
    Citation,
    HostedToolCall,
    HostedToolResult,
    PartToken,
    ReasoningMessage,
    ReasoningToken,
)
from miniagents.ext.llms.prices import Price
from miniagents.ext.llms.providers.anthropic_history import from_anthropic
from miniagents.ext.llms.providers.anthropic_mapping import to_anthropic
from miniagents.ext.llms.providers.openai_mapping import from_openai, to_openai
from miniagents.ext.llms.summaries import SummaryMessage
from miniagents.ext.llms.tool_records import Recovery
from miniagents.ext.llms.tool_sources import ToolSource
from miniagents.ext.llms.tools import Tool
from miniagents.messages import AssistantMessage, SystemMessage, UserMessage

__all__ = [
    "AnthropicAgent",
    "AssistantMessage",
    "AudioMessage",
    "Budget",
    "Cache",
    "Citation",
    "Compact",
    "EmbeddingMessage",
    "Fallback",
    "FileMessage",
    "HostedToolCall",
    "HostedToolResult",
    "ImageMessage",
    "LLMAgent",
    "LLMOptions",
    "LocalAgent",
    "NativeMessage",
    "OpenAIAgent",
    "PartToken",
    "Price",
    "RateLimit",
    "ReasoningMessage",
    "ReasoningToken",
    "Recovery",
    "ReplyMessage",
    "Spent",
    "SummaryMessage",
    "SystemMessage",
    "Tool",
    "ToolCall",
    "ToolResultMessage",
    "ToolSource",
    "Usage",
    "UserMessage",
    "from_anthropic",
    "from_openai",
    "openai_embedding_agent",
    "partial_outputs",
    "to_anthropic",
    "to_openai",
    "well_formed",
]
