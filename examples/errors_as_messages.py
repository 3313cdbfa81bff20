"""Errors as messages: the failure of one call does not hide the replies of the others."""

from miniagents import ErrorMessage, InteractionContext, MiniAgents, miniagent


@miniagent
async def divide(ctx: InteractionContext, a: int, b: int) -> None:
    ctx.reply(f"{a} / {b} = {a / b}")


async def main() -> None:
    calls = [divide.inquire(a=1, b=2), divide.inquire(a=1, b=0), divide.inquire(a=3, b=4)]
    for call in calls:
        for message in await call:
            print("error:" if isinstance(message, ErrorMessage) else "reply:", message)


if __name__ == "__main__":
    MiniAgents(errors_as_messages=True).run(main())
