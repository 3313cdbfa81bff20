"""Ready-made agents: chains, loops and dialogs, the console, files, histories, logs."""

from miniagents.ext.agents.chains import (
    AWAIT,
    CLEAR,
    agent_chain,
    agent_loop,
    console_user_agent,
    dialog_loop,
    prompt_agent,
    user_agent,
)
from miniagents.ext.agents.console import console_input_agent, console_output_agent
from miniagents.ext.agents.files import file_output_agent
from miniagents.ext.agents.history import GLOBAL_MESSAGE_HISTORY, MarkdownHistoryAgent, in_memory_history_agent
from miniagents.ext.agents.loggers import markdown_llm_logger_agent
from miniagents.messages import as_single_text_promise

__all__ = [
    "AWAIT",
    "CLEAR",
    "GLOBAL_MESSAGE_HISTORY",
    "MarkdownHistoryAgent",
    "agent_chain",
    "agent_loop",
    "as_single_text_promise",
    "console_input_agent",
    "console_output_agent",
    "console_user_agent",
    "dialog_loop",
    "file_output_agent",
    "in_memory_history_agent",
    "markdown_llm_logger_agent",
    "prompt_agent",
    "user_agent",
]
