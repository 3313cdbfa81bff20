"""Replies in the order in which they become ready."""

import asyncio

from miniagents import InteractionContext, MiniAgents, miniagent


@miniagent
async def runner(ctx: InteractionContext, name: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    ctx.reply(f"{name} is there")


@miniagent
async def race(ctx: InteractionContext) -> None:
    for name, seconds in (("tortoise", 0.2), ("hare", 0.05), ("dog", 0.1)):
        ctx.reply_out_of_order(runner.inquire(name=name, seconds=seconds))


async def main() -> None:
    async for message in race.inquire():
        print(await message)


if __name__ == "__main__":
    MiniAgents().run(main())
