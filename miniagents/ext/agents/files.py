"""`file_output_agent`: messages in a file."""

from pathlib import Path
from typing import Any

from miniagents.agents import InteractionContext, miniagent
from miniagents.messages import as_single_text_promise


@miniagent
async def file_output_agent(ctx: InteractionContext, file: str, **options: Any) -> None:
    """Write messages into a file as they arrive, and reply with the same messages.

    Args:
        ctx: The context.
        file: The path of the file. A missing folder is made, and an existing file is replaced.
        **options: Options of `as_single_text_promise`.

    Example:
        ```python
        from pathlib import Path

        from miniagents import MiniAgents
        from miniagents.ext.agents import file_output_agent

        async def main() -> None:
            await file_output_agent.inquire(["one", "two"], file="out/numbers.md", delimiter=" and ")
            print(Path("out/numbers.md").read_text())  # one and two

        MiniAgents().run(main())
        ```
    """
    ctx.reply(ctx.message_promises)
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", buffering=1, encoding="utf-8") as stream:
        async for token in as_single_text_promise(ctx.message_promises, **options):
            stream.write(str(token))
