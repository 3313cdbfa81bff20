"""What is built on the core and needs more than it: each part behind an extra of its own. The agents to build with are
handed on from here, as MiniAgents has always done."""

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
