"""Messages into a file."""

from pathlib import Path
from typing import Any

from miniagents.agents import InteractionContext, miniagent
from miniagents.messages import as_single_text_promise


@miniagent
async def file_output_agent(ctx: InteractionContext, file: str, **options: Any) -> None:
    """Writes messages into a file as they come, and replies with them.

    Args:
        ctx: The context.
        file: The path of the file; its folder is made if need be, and what is there is replaced.
        **options: Those of `as_single_text_promise`.
    """
    ctx.reply(ctx.message_promises)
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", buffering=1, encoding="utf-8") as stream:
        async for token in as_single_text_promise(ctx.message_promises, **options):
            stream.write(str(token))
