"""A class agent has a state, serves one call at a time, and comes back with a fresh state after a crash."""

import asyncio
import logging

import structlog

from miniagents import InteractionContext, MiniAgents, miniagent


@miniagent
class Account:
    """Keeps the balance of one customer."""

    def __init__(self, opening: int = 0) -> None:
        self.balance = opening

    async def __call__(self, ctx: InteractionContext) -> None:
        async for message in ctx.message_promises:
            self.balance += int(str(await message))  # a ValueError here is a crash
            ctx.reply(f"balance: {self.balance}")


async def main() -> None:
    async with MiniAgents() as system:
        account = system.spawn(Account, name="alice", opening=100)
        print(await account.inquire("20"))
        print(await account.inquire("30"))
        try:
            await account.inquire("a lot")
        except ValueError as error:
            print(f"crashed: {error}")
        print(await account.inquire("1"))
        print(f"restarts: {system.tree('/alice').restarts}")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    asyncio.run(main())
