"""`markdown_llm_logger_agent`: prompts and answers in Markdown files."""

import datetime as dt
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from pprint import pformat
from typing import Any

from miniagents.agents import InteractionContext, miniagent
from miniagents.ext.agents.history import MarkdownHistoryAgent
from miniagents.messages import EMPTY
from miniagents.messages.frozen import thaw


@miniagent
async def markdown_llm_logger_agent(
    ctx: InteractionContext,
    log_folder: str = "llm_logs/",
    request_metadata: Mapping[str, Any] = EMPTY,
    show_response_metadata: bool = True,
) -> None:
    """Write one call of a model into a Markdown file: the calling agents, the options, the prompt, and the answer.

    Args:
        ctx: The context.
        log_folder: The folder of the files, which only their owner can read.
        request_metadata: The model and the options.
        show_response_metadata: Write the metadata of the answer, such as its usage, at the end.

    Example:
        ```python
        from pathlib import Path

        from miniagents import MiniAgents
        from miniagents.ext.agents import markdown_llm_logger_agent
        from miniagents.ext.llms import OpenAIAgent

        async def main() -> None:
            logger = markdown_llm_logger_agent.fork(log_folder="prompts")
            await OpenAIAgent.fork(model="gpt-5-mini", llm_logger_agent=logger).inquire("Hi")

        MiniAgents().run(main())
        print(len(list(Path("prompts").iterdir())))  # 1
        ```
    """
    folder = Path(log_folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = re.sub(r"[^\w.-]+", "-", str(request_metadata.get("model", "model")))
    now = dt.datetime.now().strftime("%Y%m%d_%H%M%S__%f")
    file = folder / f"{now}__{model}__{secrets.token_hex(3)}.md"
    file.touch(mode=0o600)
    trace = [agent.alias for agent in ctx.interaction.agent_trace[1:]]  # without the logger itself
    head = f"{' <- '.join(trace)}\n\n" if trace else ""
    file.write_text(f"{head}```python\n{_pretty(request_metadata)}\n```\n", encoding="utf-8")
    await MarkdownHistoryAgent.inquire(ctx.message_promises, history_md_file=str(file), ignore_no_history=True)
    messages = await ctx.message_promises
    if messages and show_response_metadata:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(
                f"\n----------------------------------------\n\n```python\n{_pretty(messages[-1].metadata)}\n```\n"
            )


def _pretty(data: Mapping[str, Any]) -> str:
    return pformat(thaw(data), sort_dicts=False)
