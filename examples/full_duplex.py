"""Full duplex: messages go to an agent one by one while its replies already arrive."""

from miniagents import InteractionContext, MiniAgents, miniagent


@miniagent
async def running_total(ctx: InteractionContext) -> None:
    total = 0
    async for message in ctx.message_promises:
        total += int(str(await message))
        ctx.reply(f"total so far: {total}")


async def main() -> None:
    call = running_total.initiate_call()
    replies = aiter(call.reply_sequence(finish_call=False))
    for number in (10, 20, 12):
        call.send_message(str(number))
        reply = await anext(replies)
        print(f"sent {number}, {await reply}")
    call.finish()


if __name__ == "__main__":
    MiniAgents().run(main())
