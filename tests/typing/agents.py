"""What type checkers see of agents: functions and classes, calls, pools and sequences of messages."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

import asyncio
from typing import Any, assert_type

from miniagents import (
    AgentCall,
    AgentPoolRef,
    AgentRef,
    Interaction,
    InteractionContext,
    Message,
    MessagePromise,
    Messages,
    MessageSequencePromise,
    MiniAgent,
    MiniAgents,
    Promise,
    TextMessage,
    as_completed,
    gather,
    merge,
    miniagent,
)
from miniagents.agents.reply_promise import ReplyPromise
from miniagents.ext.llms import NativeMessage
from miniagents.ext.serving import Served, agent_app


@miniagent
async def agent(ctx: object) -> None: ...


@miniagent(alias="Parrot", max_concurrency=2)
async def parrot(ctx: InteractionContext, greeting: str = "Hello") -> None: ...


class Cart:
    def __init__(self, currency: str = "EUR") -> None:
        self.currency = currency

    async def __call__(self, ctx: InteractionContext, item: str = "") -> None: ...


cart = miniagent(Cart)
saved_cart = miniagent(Cart, alias="SavedCart", durable=True)


@miniagent
class Serial:
    async def __call__(self, ctx: InteractionContext) -> None: ...


class OwnCall(Interaction):
    pass


class OwnReplies(ReplyPromise[OwnCall]):
    pass


def made() -> None:
    assert_type(agent, MiniAgent)
    assert_type(parrot, MiniAgent)
    assert_type(cart, MiniAgent)
    assert_type(saved_cart, MiniAgent)
    assert_type(cart.fork(currency="USD"), MiniAgent)
    miniagent(Cart, alias=3)  # type: ignore[call-overload]
    miniagent(3)  # type: ignore[call-overload]
    print(cart.currency)  # type: ignore[attr-defined]


async def calls() -> None:
    assert_type(agent.inquire("x"), MessageSequencePromise)
    assert_type(await agent.inquire("x"), Messages)
    assert_type((await agent.inquire("x"))[0], Message)
    assert_type(await agent.inquire("x").as_single_text_promise(), TextMessage)
    assert_type(cart.initiate_call().send_message("x"), AgentCall)
    async for promise in cart.inquire("x", item="tea"):
        assert_type(promise, MessagePromise)
    async for either in merge(agent.inquire(), cart.inquire()):
        assert_type(either, MessagePromise)
    async for replies in as_completed(agent.inquire("x")):
        assert_type(replies, MessageSequencePromise)
    async for answer in as_completed(asyncio.sleep(1, "x")):
        assert_type(answer, Promise[str])
    assert_type((await gather(agent.inquire(), cart.inquire()))[1], Messages)
    agent.inquire(3)  # type: ignore[arg-type]
    print((await agent.inquire("x"))[0].content)  # type: ignore[attr-defined]


async def typed(reader: MiniAgent[TextMessage], ref: AgentRef[TextMessage]) -> None:
    assert_type((await reader.inquire("x"))[0].content, str)
    assert_type((await ref.inquire("x"))[0].role, str | None)
    assert_type(await reader.inquire("x").answer(), Messages[TextMessage])
    any_agent: MiniAgent = reader
    any_messages: MessageSequencePromise = reader.inquire("x")
    texts: MiniAgent[TextMessage] = parrot  # type: ignore[assignment]
    del any_agent, any_messages, texts


async def spawned(system: MiniAgents, ctx: InteractionContext, reader: MiniAgent[TextMessage]) -> None:
    assert_type(system.spawn(agent), AgentRef)
    assert_type(system.spawn(cart, name="cart", currency="USD"), AgentRef)
    assert_type(ctx.spawn(reader), AgentRef[TextMessage])
    assert_type(await system.pool(agent, size=2), AgentPoolRef)
    assert_type(await system.pool(reader, size=2), AgentPoolRef[TextMessage])
    assert_type(system.run_agent(reader, "x"), Messages[TextMessage])
    assert_type(await system.run_job("job-1", reader, "x"), Messages[TextMessage])
    assert_type(system.from_thread.inquire(reader, "x").result(), Messages[TextMessage])
    await system.pool(agent, size=2, sise=2)  # type: ignore[call-overload]


def served(ref: AgentRef) -> None:
    agent_app({"a": agent, "b": Served(cart), "c": "/path", "d": ref})
    agent_app([agent, Served(agent), ref, cart])
    agent_app({"a": 5})  # type: ignore[dict-item]
    NativeMessage(api="openai", item={"type": "reasoning"})


def promised() -> None:
    assert_type(TextMessage.promise("x"), MessagePromise[TextMessage])
    assert_type(TextMessage("x").as_promise, MessagePromise[TextMessage])


async def decorated(system: MiniAgents) -> None:
    serial: Any = Serial  # the result of a decorator of a class, which mypy does not see
    await serial.inquire("x")
