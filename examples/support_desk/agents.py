"""The agents of the desk: a clerk with tools, and an approver who asks a human before money goes out."""

import os
import re

import msgspec

from examples.models import model_of
from examples.support_desk.tickets import Answer, book_of
from miniagents import InteractionContext, MiniAgent, miniagent
from miniagents.ext.llms import ToolCall, ToolResultMessage
from miniagents.ext.llms.provider import ModelRequest
from miniagents.testing import Call, Reply, Script, ScriptedModel

ORDERS = {"17": ("a tea pot", 24.0), "18": ("a pound of coffee", 8.5)}
A_WEEK = 7 * 86_400.0


def order(number: str) -> str:
    """What was ordered, and what it has cost.

    Args:
        number: The number of the order.
    """
    article, euros = ORDERS[number]
    return f"Order {number}: {article}, {euros:.2f} euros, delivered."


async def refund(number: str, reason: str, ctx: InteractionContext) -> str:
    """Give the customer the money back.

    Args:
        number: The number of the order.
        reason: The reason that the customer gives.
    """
    key = await ctx.idempotency_key(number)  # for the bank: a call that is made again pays nothing twice
    print(f"the bank pays {ORDERS[number][1]:.2f} euros for order {number} (key of {len(key)} letters)")
    return f"{ORDERS[number][1]:.2f} euros are on their way."


@miniagent(durable=True)
async def approver(ctx: InteractionContext) -> None:
    """Says yes to what costs nothing, and waits for a human, for a week at most, before a refund."""
    (call,) = await ctx.message_promises
    assert isinstance(call, ToolCall)
    if call.name != "refund":
        ctx.reply("yes")
        return
    asked = msgspec.json.decode(call.arguments, type=dict[str, str])
    number, reason = asked["number"], asked["reason"]
    prompt = f"Refund {ORDERS[number][1]:.2f} euros for order {number}? The customer says: {reason}"
    ctx.reply(await ctx.wait_for("refund", prompt=prompt, timeout=A_WEEK))


@miniagent(durable=True, passivate_after=60)
async def desk(ctx: InteractionContext, number: int) -> None:
    """Has the clerk answer a question, and closes its ticket."""
    answer = await clerk.inquire(ctx.message_promises).answer()
    await book_of(ctx.system).send(Answer(number=number, answer=str(answer)), message_id=f"ticket-{number}")


def scripted(request: ModelRequest) -> Reply:
    """What a model would do: look up the order, refund it if the customer wants that, and say what has happened."""
    results = [message for message in request.messages if isinstance(message, ToolResultMessage)]
    question = str(request.messages[1])  # after the system prompt
    number = re.findall(r"\d+", question)[0]
    if not results:
        return Reply(calls=(Call("order", {"number": number}),))
    if len(results) == 1 and "money back" in question:
        return Reply(calls=(Call("refund", {"number": number, "reason": question}),))
    said = results[-1].content
    refused = said.removeprefix("failed: not approved: ")
    return Reply(f"I am sorry, no refund: {refused}." if refused != said else said)


def model() -> MiniAgent:
    """Return the model of MODEL, or the scripted one."""
    return model_of() if os.environ.get("MODEL") else ScriptedModel.fork(script=Script(scripted))


clerk = model().fork(
    alias="clerk",
    system="You answer customers of a shop. Look at the order first. Refund it if the customer wants that.",
    tools=[order, refund],
    approve=approver,
)
