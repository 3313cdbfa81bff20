"""A pipeline of streaming agents: every token goes through three agents before the next one is made."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from miniagents import InteractionContext, MiniAgents, TextMessage, miniagent


@miniagent
async def poet(ctx: InteractionContext) -> None:
    async def tokens(_: dict[str, Any]) -> AsyncIterator[str]:
        for token in ("Roses ", "are ", "red"):
            yield token
            await asyncio.sleep(0.01)

    ctx.reply(TextMessage.promise(message_token_streamer=tokens))


@miniagent
async def loud(ctx: InteractionContext) -> None:
    async for message in poet.inquire(ctx.message_promises):

        async def tokens(_: dict[str, Any], source: Any = message) -> AsyncIterator[str]:
            async for token in source:
                yield str(token).upper()

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))


@miniagent
async def dotted(ctx: InteractionContext) -> None:
    async for message in loud.inquire(ctx.message_promises):

        async def tokens(_: dict[str, Any], source: Any = message) -> AsyncIterator[str]:
            async for token in source:
                yield f"{token}. "

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))


async def main() -> None:
    async with MiniAgents():
        async for message in dotted.inquire("A poem, please"):
            async for token in message:
                print(f"[{token}]", end="", flush=True)
            print()
            print(await message)


if __name__ == "__main__":
    asyncio.run(main())
