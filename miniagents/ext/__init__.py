"""Packages that are built on the core: agents, models, a service, telemetry.

Each has an extra of its own for the libraries that it needs. The ready agents can be imported from here, as from
MiniAgents 0.0.35. They are loaded with the first of these names, so that the help of a command loads no agents.
"""

from typing import TYPE_CHECKING

from miniagents.ext.lazy import lazy_names

if TYPE_CHECKING:
    from miniagents.ext.agents import (
        AWAIT,
        CLEAR,
        MarkdownHistoryAgent,
        agent_chain,
        agent_loop,
        console_input_agent,
        console_output_agent,
        console_user_agent,
        dialog_loop,
        file_output_agent,
        in_memory_history_agent,
        markdown_llm_logger_agent,
        user_agent,
    )

__all__ = [
    "AWAIT",
    "CLEAR",
    "MarkdownHistoryAgent",
    "agent_chain",
    "agent_loop",
    "console_input_agent",
    "console_output_agent",
    "console_user_agent",
    "dialog_loop",
    "file_output_agent",
    "in_memory_history_agent",
    "markdown_llm_logger_agent",
    "user_agent",
]

__getattr__ = lazy_names(__name__, dict.fromkeys(__all__, "miniagents.ext.agents"), "cli")
