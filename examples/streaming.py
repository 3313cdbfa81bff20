"""A pipeline of streaming agents: each token passes through three agents before the next one is produced."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from miniagents import InteractionContext, MessagePromise, MiniAgents, TextMessage, miniagent


@miniagent
async def poet(ctx: InteractionContext) -> None:
    async def tokens(_: dict[str, Any]) -> AsyncIterator[str]:
        for token in ("Roses ", "are ", "red"):
            yield token
            await asyncio.sleep(0.01)

    ctx.reply(TextMessage.promise(message_token_streamer=tokens))


def mapped(message: MessagePromise, change: Callable[[str], str]) -> MessagePromise:
    """A message with the tokens of another one, each changed as soon as it arrives."""

    async def tokens(_: dict[str, Any]) -> AsyncIterator[str]:
        async for token in message:
            yield change(str(token))

    return TextMessage.promise(message_token_streamer=tokens)


@miniagent
async def loud(ctx: InteractionContext) -> None:
    async for message in poet.inquire(ctx.message_promises):
        ctx.reply(mapped(message, str.upper))


@miniagent
async def dotted(ctx: InteractionContext) -> None:
    async for message in loud.inquire(ctx.message_promises):
        ctx.reply(mapped(message, "{}. ".format))


async def main() -> None:
    async for message in dotted.inquire("A poem, please"):
        async for token in message:
            print(f"[{token}]", end="", flush=True)
        print()
        print(await message)


if __name__ == "__main__":
    MiniAgents().run(main())
