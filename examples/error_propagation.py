"""An error of an inner agent is raised where its reply is awaited, and names the agents that it came through."""

import logging

import structlog

from miniagents import InteractionContext, MiniAgents, miniagent


@miniagent
async def searcher(ctx: InteractionContext) -> None:
    raise LookupError("no such document")


@miniagent
async def researcher(ctx: InteractionContext) -> None:
    ctx.reply("Looking it up...")
    ctx.reply(searcher.inquire(ctx.message_promises))
    ctx.reply("That was all.")


async def main() -> None:
    replies = aiter(researcher.inquire("Find it"))
    while True:
        try:
            print(await (await anext(replies)))
        except StopAsyncIteration:
            break
        except LookupError as error:
            came_through = getattr(error, "agent_trace", ())
            print(f"{type(error).__name__}: {error} ({' <- '.join(came_through)})")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    MiniAgents().run(main())
