"""A chat in the terminal that continues where it ended: `python -m examples.chat [history file]`."""

import sys

from examples.models import model_of
from miniagents import MiniAgents
from miniagents.ext.agents import MarkdownHistoryAgent, console_user_agent, dialog_loop


async def chat(history_file: str) -> None:
    await dialog_loop.inquire(
        user_agent=console_user_agent.fork(history_agent=MarkdownHistoryAgent.fork(history_md_file=history_file)),
        assistant_agent=model_of().fork(system="You are a helpful assistant. Answer in one or two sentences."),
    )


if __name__ == "__main__":
    MiniAgents().run(chat(sys.argv[1] if len(sys.argv) > 1 else "CHAT.md"))
