"""The smallest agent: an echo."""

from miniagents import InteractionContext, MiniAgents, miniagent


@miniagent
async def my_agent(ctx: InteractionContext) -> None:
    async for message in ctx.message_promises:
        ctx.reply(f"You said: {message}")


async def main() -> None:
    reply = await my_agent.inquire("Hello!")
    print(reply)  # prints "You said: Hello!"


if __name__ == "__main__":
    MiniAgents().run(main())
