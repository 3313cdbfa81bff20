"""A model with two tools, a function and an agent. A function approves each call first."""

from examples.models import model_of
from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.ext.llms import ToolCall


def population(city: str) -> int:
    """How many people live in a city."""
    return {"Paris": 2_100_000, "Lyon": 520_000}.get(city, 0)


@miniagent
async def archivist(ctx: InteractionContext) -> None:
    """Answers questions about the past."""
    ctx.reply(f"In 1900? A great fair. (You asked: {await ctx.message_promises})")


async def approve(call: ToolCall) -> bool | str:
    print(f"approve: {call}")
    return True


async def main() -> None:
    agent = model_of().fork(tools=[population, archivist], approve=approve, max_turns=4)
    question = "How many people live in Paris? And ask the archivist about 1900."
    replies = agent.inquire(question)
    async for message in replies.answer():
        print(await message)
    print(f"({len(await replies)} messages, with the calls of tools and their results)")


if __name__ == "__main__":
    MiniAgents().run(main())
