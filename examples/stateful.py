"""A class agent: an agent with state, which serves one call at a time and restarts with a fresh state after a crash."""

import logging

import structlog

from miniagents import InteractionContext, MiniAgents, miniagent


class Account:
    """Keeps the balance of one customer."""

    def __init__(self, opening: int = 0) -> None:
        self.balance = opening

    async def __call__(self, ctx: InteractionContext) -> None:
        async for message in ctx.message_promises:
            self.balance += int(str(await message))  # a ValueError here is a crash
            ctx.reply(f"balance: {self.balance}")


account = miniagent(Account)


async def main() -> None:
    system = MiniAgents.get_current()
    alice = system.spawn(account, name="alice", opening=100)
    print(await alice.inquire("20"))
    print(await alice.inquire("30"))
    try:
        await alice.inquire("a lot")
    except ValueError as error:
        print(f"crashed: {error}")
    print(await alice.inquire("1"))
    print(f"restarts: {system.tree('/alice').restarts}")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    MiniAgents().run(main())
