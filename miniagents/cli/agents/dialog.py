"""`chat_with`: a dialog with an agent in the terminal."""

import sys
from typing import Any

from miniagents.agents import MiniAgent, MiniAgents
from miniagents.cli.agents.terminal import sane_terminal
from miniagents.cli.log import log_to_stderr
from miniagents.cli.target import load_agent
from miniagents.control.protocol import failed
from miniagents.errors import InvalidOptionError, MissingDependencyError
from miniagents.ext.agents import MarkdownHistoryAgent, console_user_agent, dialog_loop
from miniagents.ext.command_line import DONE
from miniagents.ext.importing import own_trace


def chat_with(target: str, history: str | None, factory: bool, settings: dict[str, Any]) -> int:
    """Run a dialog until the user ends it.

    Args:
        target: The agent, as `module:agent`.
        history: The path of a Markdown file that keeps the dialog; None for memory alone.
        factory: Whether `target` is a function whose call gives the agent.
        settings: Options of the system.

    Returns:
        The exit status of success.

    Raises:
        CommandError: The agent failed.
        InvalidOptionError: There is no terminal, or no such agent.
        MissingDependencyError: prompt_toolkit is not installed.
    """
    try:
        import prompt_toolkit  # noqa: F401 - looked for before the user types anything
    except ImportError as error:
        raise MissingDependencyError("miniagents chat needs prompt_toolkit: pip install 'miniagents[cli]'") from error
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidOptionError("chat needs a terminal; use `miniagents run` in a pipe")
    agent = load_agent(target, factory=factory)
    log_to_stderr()
    user = console_user_agent
    if history is not None:
        user = user.fork(history_agent=MarkdownHistoryAgent.fork(history_md_file=history))
    with sane_terminal():
        MiniAgents(**settings).run(_dialog(user, agent))
    return DONE


async def _dialog(user: MiniAgent, agent: MiniAgent) -> None:
    try:
        await dialog_loop.inquire(user_agent=user, assistant_agent=agent, errors_as_messages=False)
    except Exception as error:
        print(own_trace(error), file=sys.stderr)
        raise failed(f"{agent.alias} failed: {type(error).__name__}: {error}") from error
