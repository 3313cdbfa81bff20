"""An agent that joins the replies of others, which run in parallel: nested replies come out flat and in order."""

import asyncio

from miniagents import InteractionContext, MiniAgents, miniagent


@miniagent
async def expert(ctx: InteractionContext, field: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    ctx.reply(f"{field}: {await ctx.message_promises} is a good question.")


@miniagent
async def panel(ctx: InteractionContext) -> None:
    # All three work in parallel, and this agent awaits none of them. The sequence keeps the order of the replies.
    ctx.reply(
        [
            "The panel says:",
            [
                expert.inquire(ctx.message_promises, field="history", seconds=0.03),
                expert.inquire(ctx.message_promises, field="physics", seconds=0.01),
            ],
            expert.inquire(ctx.message_promises, field="music", seconds=0.02),
        ]
    )


async def main() -> None:
    async for message in panel.inquire("Why?"):
        print(await message)


if __name__ == "__main__":
    MiniAgents().run(main())
