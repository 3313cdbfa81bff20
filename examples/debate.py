"""A debate: two models argue in parallel, and a third one judges while their answers still arrive."""

from examples.models import model_of
from miniagents import InteractionContext, MiniAgents, as_single_text_promise, miniagent


@miniagent
async def debate(ctx: InteractionContext) -> None:
    question = str(await ctx.message_promises)
    model = model_of(max_tokens=60)
    sides = {
        side: model.fork(alias=side, system=f"You argue {side} the motion, in one sentence.").inquire(question).answer()
        for side in ("for", "against")
    }
    for side, replies in sides.items():
        ctx.reply(as_single_text_promise([f"{side}: ", replies], delimiter=""))
    judge = model.fork(alias="judge", system="Say in one sentence who was more convincing.")
    verdict = judge.inquire(
        [f"The motion: {question}", *([f"{side}:", replies] for side, replies in sides.items())]
    ).answer()
    ctx.reply(as_single_text_promise(["judge: ", verdict], delimiter=""))


async def main() -> None:
    async for message in debate.inquire("Cities should be free of cars."):
        async for token in message:
            print(token, end="", flush=True)
        print()


if __name__ == "__main__":
    MiniAgents().run(main())
